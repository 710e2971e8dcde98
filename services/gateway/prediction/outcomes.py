"""What a backend answers to a request for a prediction, and the request while it waits."""

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Answer:
    """A backend's prediction.

    Attributes:
        probabilities: float32 [N, classes].
        call_ms: of the call to the predictor, from the request to the reply.
        compute_ms: of computing, within the call.
        queue_ms: of waiting before the call.
    """

    probabilities: NDArray[np.float32]
    call_ms: float
    compute_ms: float
    queue_ms: float = 0.0


@dataclass(frozen=True)
class Failure:
    """Why a backend gave no prediction, in words for the client."""

    reason: str


Outcome = Answer | Failure


@dataclass(eq=False, repr=False, slots=True)
class QueuedRequest:
    """A request that waits for a call, or for the end of its call.

    Attributes:
        images: uint8 [N, H, W, C].
        outcome: the prediction, once there is one. Cancel it with `Batcher.withdraw`.
        since: when the request came, in seconds of `time.perf_counter`.
        id: the request's id, for the logs.
    """

    images: NDArray[np.uint8]
    outcome: asyncio.Future[Outcome]
    since: float
    id: str
