"""Faults of trainers: killed work horses and parents, SIGTERM, memory, jobs that hang or kill their worker."""

import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.faults.answers import ask
from tests.faults.experiment import Experiment, Fault
from tests.faults.ledger import FINAL
from tests.faults.process_control import kill, sleep_s, wait_ended
from tests.faults.target import JOB_TIMEOUT_S
from tests.faults.traffic import PROBE, small_training
from tests.faults.waiting import wait

BACKEND = "pytorch"
KILL_EVERY_S = 1.5
GRACE_S = 2  # how long a trainer that does not react is given before it is killed
EXTRA_MEMORY_BYTES = 64 * 2**20


def kill_work_horse(experiment: Experiment) -> None:
    """End the process that executes a training."""
    experiment.interrupt_long_training(BACKEND)
    horses = experiment.target.find_work_horses(BACKEND)
    kill(horses, signal.SIGKILL)
    wait_ended(horses)


def kill_trainer_and_work_horse(experiment: Experiment) -> None:
    """End a trainer and the process that executes its job."""
    experiment.interrupt_long_training(BACKEND)
    _kill_all(experiment)


def kill_parent_alone(experiment: Experiment) -> None:
    """End the trainer's parent process. Its work horse must not go on beside its successor."""
    experiment.interrupt_long_training(BACKEND)
    horses = experiment.target.find_work_horses(BACKEND)
    kill(experiment.target.find_trainers(BACKEND), signal.SIGKILL)
    wait_ended(horses)


def terminate_mid_job(experiment: Experiment) -> None:
    """Stop a trainer with SIGTERM, as a restart does."""
    experiment.interrupt_long_training(BACKEND)
    trainers = experiment.target.find_trainers(BACKEND)
    kill(trainers, signal.SIGTERM)
    wait_ended(trainers)


def exceed_grace_period(experiment: Experiment) -> None:
    """Stop a trainer that no longer reacts to SIGTERM: it is killed after the grace period."""
    experiment.interrupt_long_training(BACKEND)
    pids = experiment.target.find_trainers(BACKEND) + experiment.target.find_work_horses(BACKEND)
    kill(pids, signal.SIGSTOP)
    kill(pids, signal.SIGTERM)
    sleep_s(GRACE_S)
    kill(pids, signal.SIGKILL)
    wait_ended(pids)


def signal_at_random(signum: signal.Signals, count: int, experiment: Experiment) -> None:
    """Send a signal to random trainers and work horses while many jobs are submitted and executed."""
    target, submissions = experiment.target, experiment.limits.jobs // 4  # two jobs for two backends each
    sent = 0
    with ThreadPoolExecutor(2) as pool:
        trainings = pool.submit(_submit_many, experiment, "trainings", submissions)
        evaluations = pool.submit(_submit_many, experiment, "evaluations", submissions)
        for _ in range(10 * count):  # now and then there is no process to send a signal to
            if sent == count:
                break
            backend = experiment.random.choice(target.settings.backends)
            find = experiment.random.choice([target.find_trainers, target.find_work_horses])
            pids = find(backend) or target.find_trainers(backend)
            kill(pids, signum)
            sent += bool(pids)
            sleep_s(experiment.random.uniform(0.5, 1.5) * KILL_EVERY_S)
        trainings.result()
        evaluations.result()
    wait(
        lambda: experiment.ledger.refresh() == 0,
        message="jobs have not ended",
        timeout_s=60 + experiment.limits.jobs,
        every_s=0.5,
    )
    failed = sum(job.status == "failed" for job in experiment.ledger.jobs)
    experiment.notes.append(f"{2 * submissions * len(target.settings.backends)} jobs, {sent} signals, {failed} failed")


def exhaust_memory(experiment: Experiment) -> None:
    """Run a training that needs more memory than its trainer may have."""
    (trainer,) = experiment.target.find_trainers(BACKEND)
    _, hard = resource.prlimit(trainer, resource.RLIMIT_AS)
    layers = [{"kind": "flatten"}, *[{"kind": "dense", "units": 4096}] * 2, {"kind": "dense", "units": 10}]
    network = {"input_shape": [8, 8, 1], "layers": layers}
    request = {**small_training(f"{experiment.name}-big"), "network": network, "backends": [BACKEND]}
    resource.prlimit(trainer, resource.RLIMIT_AS, (_virtual_bytes(trainer) + EXTRA_MEMORY_BYTES, hard))
    try:
        path = experiment.submit("trainings", {**request, "batch_size": 1024}, may_fail=True)
        body = experiment.wait_final(path)
        experiment.notes.append(f"the run: {body['status']}")
        experiment.require(body["status"] == "failed", f"a run without memory has {body['status']}")
    finally:
        for pid in experiment.target.find_trainers(BACKEND):
            resource.prlimit(pid, resource.RLIMIT_AS, (hard, hard))


def hang_a_job(experiment: Experiment) -> None:
    """Freeze a work horse for ever. Its parent must end it after the job's time limit."""
    path = experiment.start_long_training(BACKEND, may_fail=True, epochs=400)
    horses = experiment.target.find_work_horses(BACKEND)
    kill(horses, signal.SIGSTOP)
    try:
        # RQ's parent process waits one minute more than the job's time limit: rq.worker, monitor_work_horse.
        wait_ended(horses, timeout_s=JOB_TIMEOUT_S + 90)
    finally:
        kill(horses, signal.SIGKILL)
    experiment.wait_final(path, timeout_s=JOB_TIMEOUT_S + 60)


def cancel_a_hanging_job(experiment: Experiment) -> None:
    """Freeze a work horse, and cancel its training: the queue must go on."""
    path = experiment.start_long_training(BACKEND)
    horses = experiment.target.find_work_horses(BACKEND)
    kill(horses, signal.SIGSTOP)
    try:
        experiment.ask("POST", f"{path}/cancel")
        wait_ended(horses, timeout_s=30)
    finally:
        kill(horses, signal.SIGKILL)
    body = experiment.wait_final(path)
    experiment.require(body["status"] == "cancelled", f"a cancelled run is {body['status']}")


def poison_job(experiment: Experiment) -> None:
    """Run a job that ends its worker each time. It must fail with that reason, and not go round for ever."""
    path = experiment.start_long_training(BACKEND, may_fail=True, epochs=400)
    killed: set[int] = set()

    def is_ended() -> bool:
        horses = set(experiment.target.find_work_horses(BACKEND)) - killed
        run = experiment.read_run(path, BACKEND)
        if run["status"] == "running" and run["epoch"] >= 1:
            kill(list(horses), signal.SIGKILL)
            killed.update(horses)
        return run["status"] in FINAL

    wait(is_ended, message="the poison job did not end", timeout_s=90)
    run = experiment.read_run(path, BACKEND)
    experiment.require(run["status"] == "failed", f"the poison job is {run['status']}")
    experiment.require("died each time" in (run["error"] or ""), f"the reason does not say why: {run['error']}")


def kill_with_another_trainer_idle(experiment: Experiment) -> None:
    """End the trainer that works while a second one waits for a job."""
    target = experiment.target
    experiment.resources.enter_context(target.started_service(f"services.{BACKEND}.trainer", BACKEND))
    wait(
        lambda: _count_trainers(experiment) >= 2,
        message="the second trainer did not start",
        every_s=0.25,
    )
    experiment.interrupt_long_training(BACKEND)
    horses = target.find_work_horses(BACKEND)
    parents = [pid for pid in target.find_trainers(BACKEND) if set(horses) & set(_children(pid))]
    kill(parents + horses, signal.SIGKILL)
    wait_ended(parents + horses)


def kill_between_dequeue_and_start(experiment: Experiment) -> None:
    """End a trainer that has taken a job from the queue and has not begun it.

    The trainer is frozen while it waits for a job. Redis then gives it the job that is submitted next.
    """
    target = experiment.target
    (trainer,) = target.find_trainers(BACKEND)
    wait(lambda: experiment.ledger.refresh() == 0, message="the traffic's jobs did not end", timeout_s=30)
    wait(lambda: not target.find_work_horses(BACKEND), message="the trainer is busy", timeout_s=30)
    kill([trainer], signal.SIGSTOP)
    try:
        experiment.submit("trainings", {**small_training(f"{experiment.name}-taken"), "backends": [BACKEND]})
        sleep_s(0.5)
    finally:
        kill([trainer], signal.SIGKILL)
    wait_ended([trainer])


def leave_a_stale_lock(experiment: Experiment) -> None:
    """Leave the lock of a worker that was killed while it looked for abandoned jobs."""
    experiment.interrupt_long_training(BACKEND)
    with experiment.target.connect_admin() as redis:
        redis.set(f"rq:clean_registries:{BACKEND}", 1, ex=899)
        _kill_all(experiment)
        redis.set(f"rq:clean_registries:{BACKEND}", 1, ex=899)


def taken_job_has_ended(experiment: Experiment) -> bool:
    """Return whether every acknowledged job has ended."""
    return experiment.ledger.refresh() == 0


def _kill_all(experiment: Experiment) -> None:
    pids = experiment.target.find_trainers(BACKEND) + experiment.target.find_work_horses(BACKEND)
    kill(pids, signal.SIGKILL)
    wait_ended(pids)


def _submit_many(experiment: Experiment, kind: str, count: int) -> None:
    for _ in range(count):
        training = small_training(f"{experiment.name}-many")
        experiment.submit(kind, training if kind == "trainings" else {"model": PROBE})


def _count_trainers(experiment: Experiment) -> int:
    answer = ask(experiment.target.url, "GET", "/v1/status")
    return len(answer.json()["backends"][BACKEND]["trainers"])


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return list(map(int, file.read().split()))


def _virtual_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


FAULTS = [
    Fault("horse-killed", "fault 1", "work horse SIGKILL", kill_work_horse),
    Fault("trainer-killed", "fault 2", "trainer and horse SIGKILL", kill_trainer_and_work_horse, is_short=True),
    Fault("parent-killed", "fault 3", "trainer's parent alone SIGKILL", kill_parent_alone),
    Fault("trainer-terminated", "fault 4", "SIGTERM mid-job", terminate_mid_job),
    Fault("grace-exceeded", "fault 5", "grace period exceeded", exceed_grace_period),
    Fault(
        "random-kills",
        "fault 6",
        "20 random SIGKILLs over 400 jobs",
        partial(signal_at_random, signal.SIGKILL, 20),
        has_trainings=False,
    ),
    Fault(
        "random-terms",
        "fault 7",
        "20 random SIGTERMs over 400 jobs",
        partial(signal_at_random, signal.SIGTERM, 20),
        has_trainings=False,
    ),
    Fault("out-of-memory", "fault 8", "a trainer without memory", exhaust_memory),
    Fault("hung-job", "fault 9", "hung job, until its time limit", hang_a_job),
    Fault("hung-job-cancelled", "fault 9", "hung job, cancelled", cancel_a_hanging_job),
    Fault("poison-job", "fault 10", "a job that kills its worker", poison_job),
    Fault(
        "idle-trainer",
        "recovery",
        "trainer killed, another one idle",
        kill_with_another_trainer_idle,
        has_trainings=False,  # otherwise the other one would not be idle
    ),
    Fault(
        "taken-not-begun",
        "recovery",
        "killed between dequeue and start",
        kill_between_dequeue_and_start,
        recovered=taken_job_has_ended,
        is_short=True,
        has_trainings=False,
    ),
    Fault("stale-lock", "recovery", "a killed worker's lock", leave_a_stale_lock),
]
