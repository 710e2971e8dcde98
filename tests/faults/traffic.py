"""Light traffic while a fault is injected: predictions by all backends, polling, and small trainings."""

import random
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import requests

from tests.faults.answers import Answer, ask
from tests.faults.ledger import Ledger

PICTURE = Path("samples/seven-8x8.png")
PROBE = "probe"  # the model that is asked; `Target.start` trains it
MOST_OPEN_JOBS = 3
PREDICTION_EVERY_S = 0.1
POLL_EVERY_S = 0.4
SUBMISSION_EVERY_S = 0.7


def predict_picture(url: str, session: requests.Session | None = None, timeout_s: float = 30) -> Answer:
    """Post a picture of 8 x 8 pixels to the model `probe`, for all backends."""
    headers = {"Content-Type": "image/png"}
    path = f"/v1/predictions?model={PROBE}"
    return ask(url, "POST", path, data=PICTURE.read_bytes(), headers=headers, session=session, timeout_s=timeout_s)


def predict_tensor(url: str, backend: str, session: requests.Session | None = None) -> Answer:
    """Post a tensor of 8 x 8 pixels to one backend's model `probe`, in the Open Inference Protocol."""
    tensor = {"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [128] * 64}
    return ask(url, "POST", f"/v2/models/{PROBE}-{backend}/infer", json={"inputs": [tensor]}, session=session)


def is_complete(answer: Answer) -> bool:
    """Return whether every backend answered a prediction."""
    return answer.status == 200 and answer.json().get("errors") == {}


def small_training(name: str, epochs: int = 1) -> dict[str, object]:
    """Return the request of a training that takes about a second."""
    return {"network": "mlp", "dataset": "digits", "epochs": epochs, "batch_size": 64, "name": name}


class Traffic:
    """Three clients, from the beginning of a `with` block to its end. The ledger gets every answer.

    Args:
        ledger: where answers and acknowledged jobs are recorded.
        name: the name of the models that are trained.
        seed: decides the number of epochs.
        with_trainings: False sends predictions and reads only.
    """

    def __init__(self, ledger: Ledger, name: str, seed: int, with_trainings: bool = True) -> None:
        self._ledger, self._name, self._random = ledger, name, random.Random(seed)
        self._url, self._backends = ledger.target.url, ledger.target.settings.backends
        self._stop = threading.Event()
        clients: list[tuple[Callable[[requests.Session], None], float]] = [
            (self._predict, PREDICTION_EVERY_S),
            (self._poll, POLL_EVERY_S),
        ]
        if with_trainings:
            clients.append((self._submit, SUBMISSION_EVERY_S))
        self._threads = [threading.Thread(target=self._repeat, args=client, daemon=True) for client in clients]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, client: Callable[[requests.Session], None], every_s: float) -> None:
        with requests.Session() as session:
            while not self._stop.wait(every_s):
                client(session)

    def _predict(self, session: requests.Session) -> None:
        if self._random.random() < 0.5:
            answer = predict_picture(self._url, session)
        else:
            answer = predict_tensor(self._url, self._random.choice(self._backends), session)
        self._ledger.record(answer, is_prediction=True)

    def _poll(self, session: requests.Session) -> None:
        paths = ["/v1/status", "/v1/models", "/v2/health/ready", *(job.path for job in self._ledger.jobs[-1:])]
        answer = ask(self._url, "GET", self._random.choice(paths), session=session)
        if "/v2/health" not in answer.path:  # its 503 is a report, and no problem document
            self._ledger.record(answer)
        self._ledger.watch_publications()

    def _submit(self, session: requests.Session) -> None:
        if self._ledger.count_open() >= MOST_OPEN_JOBS:
            self._ledger.refresh()
            return
        request = small_training(self._name, self._random.randint(1, 3))
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        answer = ask(self._url, "POST", "/v1/trainings", json=request, headers=headers, session=session)
        if answer.status != 202 and not 400 <= answer.status < 500:
            self._ledger.unknown_names.add(self._name)  # it may have been carried out, and only its answer was lost
        self._ledger.record_submission("trainings", answer)
