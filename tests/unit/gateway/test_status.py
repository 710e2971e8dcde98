"""Status and metrics are answered while Redis is down, and while it is frozen."""

import asyncio
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rq import SimpleWorker

from services.gateway.app import FLASK_THREADS, create_app
from services.gateway.context import Context
from shared.jobs.job_queue import queue_of
from shared.jobs.kinds import EVALUATION
from shared.jobs.payloads import EvaluationJob
from shared.jobs.results import RunState
from shared.jobs.run_state import QUEUED
from shared.settings import Settings
from shared.web.gate import CALLER, Caller
from tests.polling import wait_until
from tests.unit.gateway.gateway_process import running_gateway

KINDS = ("trainings", "evaluations", "loadtests", "certificates")
READS = ["/v1/trainings", *(f"/v1/{kind}/{'0' * 32}" for kind in KINDS)]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield a running event loop, as the server has one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def gateway(folder: Path, redis_port: int, loop: asyncio.AbstractEventLoop) -> tuple[Context, FlaskClient]:
    """Return a gateway without predictors: nothing listens on port 1 of this machine."""
    environ = {
        "TANDEM_STATE_DIR": str(folder),
        "TANDEM_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "TANDEM_PREDICTOR_URL": "http://127.0.0.1:1",
    }
    context = Context.from_settings(Settings.from_env(environ))
    asyncio.run_coroutine_threadsafe(_start(context), loop).result()
    client = create_app(context).test_client()
    client.environ_base[CALLER] = Caller("test", frozenset({"read"}))
    return context, client


async def _start(context: Context) -> None:
    context.start(asyncio.get_running_loop())


@contextmanager
def frozen(process: subprocess.Popen[bytes]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_without_redis_a_scrape_still_returns_what_the_gateway_itself_knows(
    tmp_path: Path, loop: asyncio.AbstractEventLoop
) -> None:
    _, client = gateway(tmp_path, 1, loop)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = {family.name: family.samples for family in text_string_to_metric_families(answer.text)}
    assert len(families["tandem_prediction_queue_pictures"]) == 2
    assert families["tandem_jobs_waiting"] == families["tandem_training_examples_per_second"] == []


def test_without_redis_and_predictors_status_names_them_as_down(
    tmp_path: Path, loop: asyncio.AbstractEventLoop
) -> None:
    _, client = gateway(tmp_path, 1, loop)
    answer = client.get("/v1/status")
    assert answer.status_code == 200
    assert answer.json["redis"] == "down"
    assert {backend["predictor"] for backend in answer.json["backends"].values()} == {"down"}


def test_health_says_which_parts_are_down(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as url:
        ready = requests.get(f"{url}/v2/health/ready", timeout=10)
        assert ready.status_code == 503
        assert ready.json() == {
            "ready": False,
            "details": {"redis": "down", "tensorflow": "down", "pytorch": "down"},
        }
        assert requests.get(f"{url}/v2/health/live", timeout=10).json() == {"live": True}
        for path in ("/", "/v2/health/live", "/v2/health/ready"):
            assert requests.head(f"{url}{path}", timeout=10).text == ""
            refused = requests.post(f"{url}{path}", timeout=10)
            assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
            assert requests.options(f"{url}{path}", timeout=10).headers["Allow"] == "GET, HEAD, OPTIONS"


def test_health_is_answered_while_all_threads_of_flask_wait_for_redis(
    tmp_path: Path, redis_process: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, port = redis_process
    with (
        running_gateway(tmp_path, {"TANDEM_REDIS_URL": f"redis://127.0.0.1:{port}/0"}) as url,
        ThreadPoolExecutor(2 * FLASK_THREADS) as clients,
    ):
        assert requests.get(f"{url}/v2/health/ready", timeout=10).json()["details"]["redis"] == "up"
        with frozen(process):
            waiting = [clients.submit(requests.get, f"{url}/v1/status", timeout=60) for _ in range(2 * FLASK_THREADS)]
            wait_until(lambda: requests.get(f"{url}/v2/health/live", timeout=10).ok, message="health is not answered")
            assert not any(request.done() for request in waiting)
            wait_until(lambda: requests.get(f"{url}/v2/health/ready", timeout=10).status_code == 503, message="ready")
        assert {request.result().status_code for request in waiting} == {200}


def test_status_lists_the_workers_of_each_queue(
    tmp_path: Path, loop: asyncio.AbstractEventLoop, redis_process: tuple[subprocess.Popen[bytes], int]
) -> None:
    context, client = gateway(tmp_path, redis_process[1], loop)
    worker = SimpleWorker([queue_of("pytorch", context.redis)], connection=context.redis)
    worker.register_birth()
    worker.set_state("idle")
    context.redis.sadd("rq:workers:pytorch", "rq:worker:that-died-and-whose-record-has-expired")
    status = client.get("/v1/status").json
    assert status["redis"] == "up"
    assert status["backends"]["pytorch"]["trainers"] == [{"state": "idle", "job": None, "running": None}]
    empty = {"predictor": "down", "process": None, "trainers": [], "queued": 0, "waiting": []}
    empty |= {"running": 0, "unfinished": 0}
    (predictor,) = status["backends"]["tensorflow"].pop("predictors")
    assert (predictor["state"], predictor["process"]) == ("down", None)
    assert status["backends"]["tensorflow"] == empty


def test_while_redis_is_frozen_every_route_answers_also_after_a_status(
    tmp_path: Path, loop: asyncio.AbstractEventLoop, redis_process: tuple[subprocess.Popen[bytes], int]
) -> None:
    """Every read is answered after the client's own time limits. With RQ's limits, each would take some minutes."""
    process, port = redis_process
    context, client = gateway(tmp_path, port, loop)
    worker = SimpleWorker([queue_of("pytorch", context.redis)], connection=Redis(port=port))
    worker.register_birth()
    assert client.get("/v1/status").json["redis"] == "up"
    assert context.redis.connection_pool.connection_kwargs["socket_timeout"] == 1
    with frozen(process):
        answers = {path: client.get(path) for path in [*READS, "/v1/status", "/metrics"]}
    assert {answers[path].status_code for path in READS} == {503}
    assert {answers[path].content_type for path in READS} == {"application/problem+json"}
    assert answers["/v1/status"].status_code == answers["/metrics"].status_code == 200
    assert answers["/v1/status"].json["redis"] == "down"
    wait_until(lambda: client.get("/v1/status").json["redis"] == "up", message="Redis is not asked again")


def test_the_status_lists_the_jobs_that_wait_and_what_a_trainer_performs(
    tmp_path: Path, loop: asyncio.AbstractEventLoop, redis_process: tuple[subprocess.Popen[bytes], int]
) -> None:
    context, client = gateway(tmp_path, redis_process[1], loop)
    job = EvaluationJob(model="m", version=1, dataset="digits", split="test", asked=["pytorch"])
    runs = {"pytorch": RunState(status=QUEUED)}
    first, cancelled, last = (context.jobs.submit(EVALUATION, job, runs) for _ in range(3))
    context.jobs.cancel(EVALUATION, cancelled)
    context.redis.sadd("rq:workers:pytorch", "rq:worker:pytorch.1")
    performed = f"training-{'1' * 32}-pytorch"
    context.redis.hset("rq:worker:pytorch.1", "state", "busy")
    context.redis.sadd("rq:worker:pytorch.1:executions", f"{performed}:1")
    queue = client.get("/v1/status").json["backends"]["pytorch"]
    assert queue["waiting"] == [{"kind": "evaluation", "id": identity} for identity in (first, last)]
    assert queue["queued"] == 3
    running = {"kind": "training", "id": "1" * 32}
    assert queue["trainers"] == [{"state": "busy", "job": performed, "running": running}]
