"""Faults of Redis: killed, down, frozen, refusing writes, a lost reply, reset connections, a damaged file."""

import contextlib
import itertools
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from redis.exceptions import RedisError

from services.stack.stack import free_ports, isolate_environ, python_of
from tests.faults.answers import ask
from tests.faults.experiment import Experiment, Fault
from tests.faults.process_control import kill, sleep_s, wait_ended
from tests.faults.redis_proxy import RedisProxy
from tests.faults.target import find_append_only_file
from tests.faults.traffic import small_training
from tests.faults.waiting import wait

DOWN_S = 20
SLOWEST_ANSWER_S = 5  # while Redis does not answer; its clients wait about two seconds
ENQUEUE_S = 3
SUBMISSIONS_PER_CLIENT = 5  # few, because the time to recovery includes the jobs that wait
RESETS = 50
LOST_REPLIES = 5  # each leaves a training in the queue, and recovery waits for all of them


def kill_during_enqueue(experiment: Experiment) -> None:
    """End Redis while four clients submit."""
    target, stop = experiment.target, threading.Event()

    def submit_repeatedly() -> None:
        request = {**small_training(f"{experiment.name}-enqueue"), "backends": ["pytorch"]}
        for _ in range(SUBMISSIONS_PER_CLIENT):
            if stop.wait(ENQUEUE_S / SUBMISSIONS_PER_CLIENT):
                return
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            answer = ask(target.url, "POST", "/v1/trainings", json=request, headers=headers)
            if answer.status != 202:
                experiment.ledger.unknown_names.add(str(request["name"]))
            experiment.ledger.record_submission("trainings", answer)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(submit_repeatedly)
        sleep_s(ENQUEUE_S / 2)
        target.kill_redis()
        sleep_s(ENQUEUE_S / 2)
        stop.set()


def take_down(experiment: Experiment) -> None:
    """Have no Redis for twenty seconds while a training runs."""
    target = experiment.target
    experiment.start_long_training("pytorch")
    with target.paused_supervisor():
        target.kill_redis()
        sleep_s(DOWN_S)


def freeze(experiment: Experiment, ask_status: bool) -> None:
    """Stop Redis for twenty seconds. It accepts connections and answers nothing.

    Args:
        ask_status: request `/v1/status` first, which lists RQ's workers.
    """
    target = experiment.target
    experiment.start_long_training("pytorch")
    if ask_status:
        experiment.ask("GET", "/v1/status")
    redis = target.find_redis()
    assert redis is not None
    kill([redis], signal.SIGSTOP)
    try:
        ends_at = time.monotonic() + DOWN_S
        slowest = 0.0
        for number in itertools.count():
            if time.monotonic() > ends_at:
                break
            sleep_s(0.1)  # the gateway answers at once while it knows that Redis does not answer
            if number % 2:
                answer = experiment.ask("GET", "/v1/trainings")
            else:
                answer = experiment.ask("POST", "/v1/trainings", json=small_training(f"{experiment.name}-frozen"))
                experiment.ledger.unknown_names.add(f"{experiment.name}-frozen")
            slowest = max(slowest, answer.seconds)
            experiment.require(not answer.is_ok, f"answered without Redis: {answer}")
        experiment.notes.append(f"slowest answer {slowest:.1f} s")
        if slowest > SLOWEST_ANSWER_S:
            experiment.exceeded.append(f"an answer took {slowest:.1f} s while Redis was frozen")
        prediction = experiment.predict()
        experiment.require(prediction.is_ok, f"predictions need Redis: {prediction}")
    finally:
        kill([redis], signal.SIGCONT)


def lose_reply(experiment: Experiment) -> None:
    """Lose Redis' reply to a submission's transaction, after Redis has carried it out.

    A second gateway reaches Redis through a proxy that drops replies.
    """
    target, settings = experiment.target, experiment.target.settings
    (port,) = free_ports(1)
    path = settings.state_dir / "proxy.sock"
    with RedisProxy(settings, path) as proxy:
        variables = {"TANDEM_REDIS_URL": f"unix://{path}?db=0", "TANDEM_GATEWAY_PORT": str(port)}
        with target.started_service("services.gateway", "gateway", variables):
            url = f"http://127.0.0.1:{port}"
            wait(lambda: ask(url, "GET", "/v1/trainings").is_ok, message="the second gateway did not start")
            for _ in range(LOST_REPLIES):
                before = _count_trainings(experiment)
                proxy.drop_next_reply_to(b"EXEC")
                request = small_training(f"{experiment.name}-lost")
                answer = ask(url, "POST", "/v1/trainings", json=request)
                experiment.ledger.record_submission("trainings", answer)
                added = _count_trainings(experiment) - before
                experiment.require(added == 1, f"a submission with a lost reply made {added} trainings")
            experiment.require(proxy.dropped >= LOST_REPLIES, f"only {proxy.dropped} replies were dropped")
    experiment.notes.append(f"{LOST_REPLIES} replies lost")


def reset_connections(experiment: Experiment) -> None:
    """Close every client's connection to Redis again and again."""
    experiment.start_long_training("pytorch")
    with experiment.target.connect_admin() as redis:
        for _ in range(RESETS):
            redis.client_kill_filter(_type="normal", skipme=True)
            sleep_s(0.1)
    experiment.notes.append(f"{RESETS} times")


def truncate_append_only_file(experiment: Experiment) -> None:
    """Leave a part of a command at the file's end, as a power failure does."""
    target = experiment.target
    with target.paused_supervisor():
        pid = target.find_redis()
        target.kill_redis()
        wait_ended([pid] if pid else [])
        with target.find_append_only_file().open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$11\r\ntandem:torn")


def damage_append_only_file(experiment: Experiment) -> None:
    """Start another stack with a copy of Redis' file that is damaged in its middle.

    Its output must contain the command that repairs the file.
    """
    target = experiment.target
    state = Path(tempfile.mkdtemp(prefix="damaged-", dir=target.settings.state_dir.parent))
    try:
        shutil.copytree(target.settings.state_dir / "redis", state / "redis", ignore=shutil.ignore_patterns("*.sock*"))
        file = find_append_only_file(state / "redis")
        good = file.read_bytes()
        write = re.compile(rb"\r\n(\*\d+\r\n\$\d+)\r\n").search(good, len(good) // 2)
        assert write is not None
        file.write_bytes(good[: write.start(1)] + b"!" * len(write[1]) + good[write.end(1) :])
        environ = isolate_environ(target.stack.environ, state)
        output = state / "output"
        with output.open("wb") as log:
            command = [*python_of("stack"), "-m", "services.stack", "up"]
            stack = subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            # Redis itself writes "redis-check-aof --fix <filename>", which nobody can paste into a shell.
            command_of_repair = re.compile(rf"redis-check-aof\S* --fix {re.escape(str(state))}\S+")
            wait(
                lambda: command_of_repair.search(output.read_text(errors="replace")),
                message="no message contains the command that repairs the file: redis-check-aof --fix FILE",
                timeout_s=20,
            )
        finally:
            stack.terminate()
            try:
                stack.wait(60)
            finally:
                stack.kill()
    finally:
        shutil.rmtree(state, ignore_errors=True)


def refuse_writes(experiment: Experiment) -> None:
    """Have Redis refuse writes for ten seconds, as it does without memory."""
    experiment.start_long_training("pytorch")
    with experiment.target.connect_admin() as redis:
        limit = redis.config_get("maxmemory")["maxmemory"]
        redis.config_set("maxmemory", 1)
        try:
            answer = experiment.ask("POST", "/v1/trainings", json=small_training(f"{experiment.name}-refused"))
            experiment.require(answer.status == 503, f"a submission that cannot be stored: {answer}")
            sleep_s(10)
        finally:
            redis.config_set("maxmemory", limit)


def race_duplicates(experiment: Experiment) -> None:
    """Send sixteen requests with one Idempotency-Key at the same time."""
    for _ in range(5):
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        request = small_training(f"{experiment.name}-race")
        with ThreadPoolExecutor(16) as pool:
            post = partial(ask, experiment.target.url, "POST", "/v1/trainings", json=request, headers=headers)
            answers = list(pool.map(lambda _, post=post: post(), range(16)))
        jobs = [experiment.ledger.record_submission("trainings", answer) for answer in answers]
        paths = {job.path for job in jobs if job}
        experiment.require(all(jobs) and len(paths) == 1, f"16 duplicates made {len(paths)} trainings")


def _count_trainings(experiment: Experiment) -> int:
    with experiment.target.connect_admin() as redis, contextlib.suppress(RedisError):
        return int(redis.zcard("tandem:trainings"))
    return -1


FAULTS = [
    Fault("redis-killed", "fault 11", "Redis SIGKILL during enqueue", kill_during_enqueue, is_short=True),
    Fault("redis-down", "fault 12", "Redis down 20 s mid-job", take_down),
    Fault("redis-frozen", "fault 13", "Redis frozen 20 s", partial(freeze, ask_status=False)),
    Fault("lost-reply", "fault 14", "a lost reply of Redis", lose_reply, has_trainings=False),
    Fault("redis-resets", "fault 15", "connections to Redis reset", reset_connections),
    Fault("aof-truncated", "fault 16", "truncated append-only file", truncate_append_only_file),
    Fault("duplicates", "fault 17", "16 racing duplicates", race_duplicates),
    Fault("frozen-after-status", "recovery", "Redis frozen after /v1/status", partial(freeze, ask_status=True)),
    Fault("aof-damaged", "recovery", "append-only file damaged in its middle", damage_append_only_file),
    Fault("redis-refuses", "recovery", "Redis refuses writes 10 s", refuse_writes),
]
