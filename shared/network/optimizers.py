"""Framework-neutral descriptions of optimisers, with the formulas that every backend computes.

Notation: w is an array of weights, g the gradient of the batch's mean loss, lr the learning rate. With weight decay,
each step begins with w = w - lr * weight_decay * w (decoupled weight decay, Loshchilov and Hutter 2019). All weights
are treated alike, biases included. Where a framework computes something else, the backend's `optimizers.py` adapts it.
"""

from math import cos, pi
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from shared.errors import InvalidRequestError

LearningRate = Annotated[float, Field(strict=True, gt=0, le=100, allow_inf_nan=False)]
# How the learning rate changes from epoch to epoch.
Schedule = Literal["constant", "cosine"]
# A momentum, a beta or a weight decay.
Decay = Annotated[float, Field(strict=True, ge=0, lt=1)]


class Sgd(BaseModel):
    """Stochastic gradient descent, with momentum if `momentum` is above 0.

    v = momentum * v + g, with v = 0 at the start. Then w = w - lr * v, or with `nesterov`
    w = w - lr * (g + momentum * v). Source: Sutskever et al. 2013, in the form that both frameworks use.

    Raises:
        InvalidRequestError: `nesterov` is set, but `momentum` is 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["sgd"] = "sgd"
    learning_rate: LearningRate = 0.01
    momentum: Decay = 0.0
    nesterov: Annotated[bool, Field(strict=True)] = False
    weight_decay: Decay = 0.0

    @model_validator(mode="after")
    def _check_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise InvalidRequestError("nesterov needs a momentum above 0")
        return self


class Adam(BaseModel):
    """Adam, as in algorithm 1 of Kingma and Ba 2015: epsilon is added after the bias correction.

    At step t = 1, 2, ...: m = beta_1 * m + (1 - beta_1) * g and v = beta_2 * v + (1 - beta_2) * g^2, both 0 at the
    start. Then w = w - lr * m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["adam"] = "adam"
    learning_rate: LearningRate = 0.001
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Annotated[float, Field(strict=True, ge=1e-12, le=1)] = 1e-8
    weight_decay: Decay = 0.0


def scheduled_learning_rate(optimizer: Sgd | Adam, schedule: Schedule, epoch: int, epochs: int) -> float:
    """Return an epoch's learning rate.

    `cosine` lowers it from the optimiser's rate towards 0: rate * (1 + cos(pi * (epoch - 1) / epochs)) / 2. Source:
    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017, without restarts.

    Args:
        optimizer: its learning rate is that of the first epoch.
        schedule: how the rate changes.
        epoch: the epoch's number, counted from 1.
        epochs: how many epochs the whole training has.
    """
    if schedule == "constant":
        return optimizer.learning_rate
    return optimizer.learning_rate * (1 + cos(pi * (epoch - 1) / epochs)) / 2


def _name(value: Any) -> str:
    return str(value.get("name", "sgd") if isinstance(value, dict) else getattr(value, "name", "sgd"))


# One of the optimisers. A callable chooses it, because pydantic's own discriminator would demand a name, and a
# description without a name is one of `sgd`.
Optimizer = Annotated[Annotated[Sgd, Tag("sgd")] | Annotated[Adam, Tag("adam")], Discriminator(_name)]
