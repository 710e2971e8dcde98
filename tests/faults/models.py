"""Faults of models: killed publishers, flipped bytes, a bad version, a tampered manifest, cancels and deletions."""

import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from shared.errors import CorruptModelError, NotFoundError
from shared.models.registry import MANIFEST, WEIGHTS
from tests.faults.answers import ask
from tests.faults.experiment import Experiment, Fault
from tests.faults.process_control import kill, sleep_s
from tests.faults.traffic import PICTURE, small_training
from tests.faults.waiting import wait

PUBLISHER_DEATHS = 50
HEADERS = {"Content-Type": "image/png"}


def train(experiment: Experiment, name: str, backends: list[str] | None = None) -> int:
    """Train a small model and return its version."""
    path = experiment.submit("trainings", {**small_training(name), "backends": backends})
    return int(experiment.wait_final(path)["version"])


def predict(experiment: Experiment, model: str) -> Any:
    """Post a picture to a model, and return the parsed answer."""
    path = f"/v1/predictions?model={model}"
    return experiment.ask("POST", path, data=PICTURE.read_bytes(), headers=HEADERS).json()


def cancel_in_each_state(experiment: Experiment) -> None:
    """Cancel trainings while they wait, while they start, and while they run. None may publish a model."""
    for number in range(9):
        request = {**small_training(f"{experiment.name}-{number}", 400), "batch_size": 16, "backends": ["pytorch"]}
        is_to_run = number % 3 == 2
        path = experiment.start_long_training(epochs=400) if is_to_run else experiment.submit("trainings", request)
        sleep_s((0, 0.03, 0.1)[number % 3])
        answer = experiment.ask("POST", f"{path}/cancel")
        experiment.require(answer.status in (202, 409), f"cancel: {answer}")
        body = experiment.wait_final(path)
        experiment.require(body["status"] == "cancelled", f"a cancelled training has {body['status']}")


def kill_publisher(experiment: Experiment) -> None:
    """End a process that publishes fifty times, while a reader verifies everything that it sees."""
    registry, name = experiment.target.registry, "published"
    command = [sys.executable, "-m", "tests.faults.publisher", str(registry.root), name]
    publisher = subprocess.Popen(
        [*command, str(PUBLISHER_DEATHS), str(experiment.random.randrange(2**31))], stdout=subprocess.PIPE
    )
    reads = torn = 0
    try:
        while publisher.poll() is None:
            for version in registry.versions(name, "pytorch")[-3:]:
                reads += 1
                try:
                    registry.verify(name, "pytorch", version)
                except (CorruptModelError, NotFoundError):
                    torn += 1
            sleep_s(0.005)
    finally:
        publisher.kill()
        publisher.wait()
    versions = len(registry.versions(name, "pytorch"))
    experiment.notes.append(f"{reads} reads, {torn} torn, {versions} versions")
    experiment.require(publisher.returncode == 0, "the publisher broke")
    experiment.require(versions and reads, "nothing was published")
    experiment.require(not torn, f"{torn} of {reads} reads were torn")
    for version in registry.versions(name, "pytorch"):
        registry.delete(name, "pytorch", version)


def flip_a_byte(experiment: Experiment) -> None:
    """Change one byte of the only version of a model, and load it again."""
    name = f"{experiment.name}-model"
    version = train(experiment, name)
    path = experiment.target.registry.path(name, "pytorch", version) / WEIGHTS
    good = path.read_bytes()
    try:
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        _restart_predictor(experiment)
        answer = predict(experiment, name)
        error = answer.get("errors", {}).get("pytorch", "")
        experiment.require("changed after its publication" in error, f"a damaged model: {str(answer)[:200]}")
    finally:
        path.write_bytes(good)


def put_a_bad_version_beside_a_good_one(experiment: Experiment) -> None:
    """Damage a model's newest version. The one before must be served."""
    name = f"{experiment.name}-model"
    good, bad = train(experiment, name), train(experiment, name)
    path = experiment.target.registry.path(name, "pytorch", bad) / WEIGHTS
    published = path.read_bytes()
    try:
        path.write_bytes(bytes(len(published)))
        (image,) = predict(experiment, name).get("images") or [{}]
        served = {result["version"] for result in image.get("results", {}).values()}
        experiment.require(served == {good}, f"versions {sorted(served)} were served, not {good}")
    finally:
        path.write_bytes(published)


def tamper_with_a_manifest(experiment: Experiment) -> None:
    """Change a manifest's classes. It must be refused."""
    name = f"{experiment.name}-model"
    version = train(experiment, name)
    path = experiment.target.registry.path(name, "pytorch", version) / MANIFEST
    good = path.read_bytes()
    try:
        path.write_bytes(good.replace(b'"7"', b'"1"', 1))
        experiment.require(path.read_bytes() != good, "the manifest was not changed")
        _restart_predictor(experiment)
        answer = predict(experiment, name)
        experiment.require("pytorch" not in _results_of(answer), f"a tampered manifest: {str(answer)[:200]}")
    finally:
        path.write_bytes(good)


def name_a_version_that_is_being_deleted(experiment: Experiment) -> None:
    """Queue a version's deletion behind a long training, and then make the version `stable`."""
    name = f"{experiment.name}-model"
    version = train(experiment, name)
    long_training = experiment.start_long_training("pytorch")
    answer = ask(experiment.target.url, "DELETE", f"/v1/models/{name}/pytorch/{version}")
    experiment.ledger.record_submission("deletions", answer)
    experiment.ledger.deleted.add((name, "pytorch", version))
    experiment.require(answer.status == 202, f"the deletion was not accepted: {answer}")
    stable = experiment.ask("PUT", f"/v1/models/{name}/aliases/stable", json={"version": version})
    experiment.require(stable.status == 409, f"stable means a version whose deletion is queued: {stable}")
    experiment.ask("POST", f"{long_training}/cancel")  # otherwise the time to recovery would include it


def _results_of(answer: Any) -> Any:
    images = answer.get("images") or [{}]
    return images[0].get("results", {})


def _restart_predictor(experiment: Experiment) -> None:
    """End PyTorch's predictor, and wait for the next one, which has to load every model again."""
    kill(experiment.target.find_predictors("pytorch"), signal.SIGKILL)
    started = time.monotonic()

    def is_up() -> bool:
        status = ask(experiment.target.url, "GET", "/v1/status").json()
        return bool(status["backends"]["pytorch"]["predictor"] == "up" and time.monotonic() > started + 0.5)

    wait(is_up, message="the predictor did not come back", timeout_s=experiment.limits.patience_s)


def plant_jobs(experiment: Experiment) -> None:
    """Put jobs into a queue that Tandem did not sign. None may run."""
    from rq import Queue  # only this row writes to a queue by itself

    mark = Path(experiment.target.settings.state_dir, "was-run")
    odd, unsigned, foreign = "planted", uuid.uuid4().hex, uuid.uuid4().hex
    payload = json.dumps({"kind": "training", "id": unsigned, "backend": "pytorch"})
    with experiment.target.connect_admin() as redis:
        queue = Queue("pytorch", connection=redis, serializer="json")
        for identity in (odd, foreign):
            job_id = f"training-{identity}-pytorch"
            queue.enqueue("os.system", f"touch {mark}", on_failure="os.abort", job_id=job_id)
        queue.enqueue("shared.jobs.worker.perform", payload, "0" * 64, job_id=f"training-{unsigned}-pytorch")
        wait(lambda: queue.count == 0, message="the planted jobs stayed in the queue", timeout_s=30)
        sleep_s(1)
        experiment.require(not mark.exists(), "a planted os.system ran")
        runs = [f"tandem:training:{identity}:pytorch" for identity in (odd, foreign, unsigned)]
        experiment.require(not redis.exists(*runs), "a planted job wrote a run")


def replay_a_job(experiment: Experiment) -> None:
    """Put a signed job into the queue a second time, after its model was deleted. It must not run again."""
    from rq import Queue

    name = f"{experiment.name}-model"
    with experiment.target.connect_admin() as redis:
        queue = Queue("pytorch", connection=redis, serializer="json")
        path = experiment.submit("trainings", {**small_training(name), "backends": ["pytorch"]})
        job_id = f"training-{path.rpartition('/')[2]}-pytorch"
        job = queue.fetch_job(job_id)
        arguments = list(job.args) if job else []
        body = experiment.wait_final(path)
        experiment.require(arguments, "the queued job could not be read")
        version = body["version"]
        answer = ask(experiment.target.url, "DELETE", f"/v1/models/{name}/pytorch/{version}")
        deletion = experiment.ledger.record_submission("deletions", answer)
        experiment.ledger.deleted.add((name, "pytorch", version))
        if deletion:
            experiment.wait_final(deletion.path)
        redis.hset(f"tandem:training:{body['id']}:pytorch", "status", '"queued"')
        queue.enqueue("shared.jobs.worker.perform", *arguments, job_id=job_id)
        wait(
            lambda: job_id not in queue.get_job_ids() and not redis.exists(f"rq:job:{job_id}"),
            message="the replayed job did not end",
            timeout_s=30,
        )
        published = experiment.target.registry.versions(name, "pytorch")
        experiment.require(not published, "a replayed job published a deleted version again")
        redis.hset(f"tandem:training:{body['id']}:pytorch", "status", '"succeeded"')


FAULTS = [
    Fault("cancels", "fault 18", "cancel while queued, starting, running", cancel_in_each_state),
    Fault("publisher-killed", "fault 19", "publisher killed fifty times", kill_publisher),
    Fault("flipped-byte", "fault 20", "a flipped byte in a model", flip_a_byte),
    Fault("bad-version", "fault 22", "a bad model beside a good one", put_a_bad_version_beside_a_good_one),
    Fault("planted-job", "fault 30", "a planted Redis job", plant_jobs, is_short=True),
    Fault("replayed-job", "fault 30", "a signed job, enqueued again", replay_a_job),
    Fault("tampered-manifest", "fault 30", "a tampered manifest", tamper_with_a_manifest),
    Fault("stable-deleted", "recovery", "stable on a version to be deleted", name_a_version_that_is_being_deleted),
]
