"""Jobs that a stack really performs: one of each kind. All other records and models are copies of these."""

from dataclasses import dataclass
from typing import Any

from services.cli.client import Client

MODEL = "original"
TRAINING = {
    "network": "article",
    "dataset": "digits",
    "epochs": 10,
    "batch_size": 32,
    "optimizer": {"name": "adam", "learning_rate": 0.002},
    "name": MODEL,
}
SEARCH = {
    "dataset": "digits",
    "name": "searched",
    "trials": 3,
    "epochs": 2,
    "space": {"network": {"family": "mlp", "depth": {"range": [1, 2]}, "width": {"choice": [16, 32]}}},
}
# A busy machine must not fail the release: only a predictor that hangs exceeds this bound.
RELEASE = {"model": MODEL, "gates": {"latency": {"rate": 5, "bound_ms": 20_000, "duration_s": 1}}}
EXPORT_FORMAT = "onnx"
EXPORT_BACKEND = "pytorch"


@dataclass(frozen=True)
class Originals:
    """The ids of jobs that have ended, one of each kind.

    Attributes:
        identities: kind, as in Redis' keys -> id.
        version: the version of the model `MODEL`.
        backends: the backends of the stack.
    """

    identities: dict[str, str]
    version: int
    backends: tuple[str, ...]


def perform_originals(client: Client, backends: tuple[str, ...]) -> Originals:
    """Perform one job of each kind, one after the other. This takes about a minute.

    Raises:
        SystemExit: a job failed. The message has its error.
    """
    identities: dict[str, str] = {}

    def perform(kind: str, path: str, body: dict[str, object], jobs: str | None = None) -> Any:
        submitted = client.post(path, body)
        identities[kind] = submitted["id"]
        return _wait_for(client, f"/v1/{jobs or f'{kind}s'}/{submitted['id']}")

    version = perform("training", "/v1/trainings", TRAINING)["version"]
    model = f"/v1/models/{MODEL}/{EXPORT_BACKEND}/{version}"
    perform("evaluation", "/v1/evaluations", {"model": MODEL})
    perform("certificate", "/v1/certificates", {"network": "article", "dataset": "digits", "steps": 2})
    perform("loadtest", "/v1/loadtests", {"model": MODEL, "target_qps": [10], "duration_s": 1})
    perform("search", "/v1/searches", SEARCH, "searches")
    perform("export", f"{model}/exports", {"format": EXPORT_FORMAT})
    perform("release", "/v1/releases", RELEASE)
    if len(backends) > 1:
        other = next(backend for backend in backends if backend != EXPORT_BACKEND)
        moved = perform("transplant", f"{model}/transplant", {"to": other})["model"]
        deletion = client.delete(f"/v1/models/{moved['name']}/{moved['backend']}/{moved['version']}")
        identities["deletion"] = deletion["id"]
        _wait_for(client, f"/v1/deletions/{deletion['id']}")
    return Originals(identities, version, backends)


def _wait_for(client: Client, path: str) -> Any:
    """Return a job after its end.

    Raises:
        SystemExit: it did not succeed.
    """
    *_, job = client.watch(path)
    if job["status"] != "succeeded":
        raise SystemExit(f"{path} {job['status']}: {job.get('error') or job}")
    return job
