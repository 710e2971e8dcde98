"""A search and a release go on while every service is restarted, one after the other."""

import signal
from functools import partial
from typing import Any

from tests.faults.answers import ask
from tests.faults.experiment import Experiment, Fault
from tests.faults.ledger import FINAL
from tests.faults.process_control import kill, wait_ended
from tests.faults.waiting import wait
from tests.stack.processes import find_processes

PATIENCE_S = 600
SEARCH = {"dataset": "digits", "trials": 4, "epochs": 40, "pruner": "none", "name": "search-restarted"}
# The bound is one that only a hanging predictor exceeds: a predictor that starts again answers late.
RELEASE = {
    "train": {
        "name": "restarted",
        "network": "mlp",
        "dataset": "digits",
        "epochs": 60,
        "batch_size": 32,
        "optimizer": {"name": "adam", "learning_rate": 0.002},
    },
    "gates": {"latency": {"rate": 5, "bound_ms": 20_000, "duration_s": 1}},
}


def restart_every_service(kind: str, request: dict[str, Any], experiment: Experiment) -> None:
    """Submit a job that is made of other jobs, and restart each service once while it runs.

    Args:
        kind: the path of the job: `searches` or `releases`.
        request: its body.
        experiment: the fault's experiment.
    """
    path = experiment.submit(kind, request)
    wait(lambda: _read(experiment, path)["status"] == "running", message="the job did not begin", timeout_s=60)
    restarted = []
    for name in (*_services(experiment), "redis"):
        if _read(experiment, path)["status"] in FINAL:
            break
        _restart(experiment, name)
        restarted.append(name)
    ended = wait(partial(_read_ended, experiment, path), message=f"{path} did not end", timeout_s=PATIENCE_S)
    experiment.require(ended["status"] == "succeeded", f"{kind}: {ended['error']}")
    experiment.require(len(restarted) == len(_services(experiment)) + 1, f"it ended after {len(restarted)} restarts")
    experiment.notes.append(f"restarted: {', '.join(restarted)}")


def _services(experiment: Experiment) -> list[str]:
    """Return the modules of every service's process."""
    backends = experiment.target.settings.backends
    parts = [f"services.{backend}.{part}" for backend in backends for part in ("trainer", "predictor")]
    return ["services.pipelines", "services.gateway", "services.loadtest", *parts]


def _restart(experiment: Experiment, name: str) -> None:
    """End a service as its manager does, with SIGTERM, and wait until it runs again."""
    target = experiment.target

    def find() -> list[int]:
        if name == "redis":
            pid = target.find_redis()
            return [pid] if pid else []
        return find_processes(target.settings, name)

    before = wait(find, message=f"{name} does not run", timeout_s=PATIENCE_S)
    kill(before, signal.SIGTERM)
    wait_ended(before, timeout_s=60)
    wait(lambda: set(find()) - set(before), message=f"{name} was not started again", timeout_s=60)


def _read(experiment: Experiment, path: str) -> Any:
    """Return the state of the job. While the gateway or Redis is away, its status is unknown."""
    answer = ask(experiment.target.url, "GET", path, timeout_s=5)
    return answer.json() if answer.status == 200 else {"status": "unknown"}


def _read_ended(experiment: Experiment, path: str) -> Any:
    state = _read(experiment, path)
    return state if state["status"] in FINAL else None


FAULTS = [
    Fault(
        "search-restarts",
        "restart",
        "every service restarted during a search",
        partial(restart_every_service, "searches", SEARCH),
        kills_gateway=True,
        has_trainings=False,
    ),
    Fault(
        "release-restarts",
        "restart",
        "every service restarted during a release",
        partial(restart_every_service, "releases", RELEASE),
        kills_gateway=True,
        has_trainings=False,
    ),
]
