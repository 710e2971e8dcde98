"""Faults of the disk: the model volume is full while a training runs, and while one publishes."""

from tests.faults.experiment import Experiment, Fault
from tests.faults.process_control import sleep_s
from tests.faults.traffic import small_training

FULL_S = 6


def fill_before_publication(experiment: Experiment) -> None:
    """Submit trainings while the volume is full. Each fails with a reason, and publishes nothing by half."""
    with experiment.target.full_volume() as how:
        experiment.notes.append(how)
        name = f"{experiment.name}-model"
        paths = [experiment.submit("trainings", small_training(name), may_fail=True) for _ in range(3)]
        bodies = [experiment.wait_final(path) for path in paths]
        sleep_s(1)
        failed = sum(body["status"] == "failed" for body in bodies)
        experiment.notes.append(f"{failed} of {len(bodies)} trainings failed")
        experiment.require(failed, "the volume was not full: every training has succeeded")
        drafts = list(experiment.target.settings.model_dir.glob(f"{name}/*/.tmp-*"))
        experiment.require(not drafts, f"{len(drafts)} drafts were left")


def fill_while_a_training_runs(experiment: Experiment) -> None:
    """Fill the volume while a training writes checkpoints, and make room again before it ends."""
    path = experiment.start_long_training("pytorch", epochs=1000)
    with experiment.target.full_volume() as how:
        experiment.notes.append(how)
        epoch = experiment.read_run(path, "pytorch")["epoch"]
        sleep_s(FULL_S)
        run = experiment.read_run(path, "pytorch")
        experiment.require(
            run["status"] != "failed", f"a checkpoint that cannot be written ended the run: {run['error']}"
        )
        experiment.require(run["epoch"] > epoch or run["status"] == "succeeded", "the training did not go on")
    body = experiment.wait_final(path, timeout_s=120)
    experiment.require(body["status"] == "succeeded", f"the training has {body['status']}")


FAULTS = [
    Fault("disk-full", "fault 21", "disk full at a publication", fill_before_publication, has_trainings=False),
    Fault(
        "disk-full-checkpoint",
        "recovery",
        "disk full while a training runs",
        fill_while_a_training_runs,
        has_trainings=False,
        is_short=True,
    ),
]
