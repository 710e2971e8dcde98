"""Log lines and request ids: which ids are accepted, which are replaced, and where they appear."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.app import create_app
from services.gateway.context import Context
from services.gateway.prediction.batcher import Answer, Batcher, Outcome
from shared.logs import REQUEST_ID, begin_request, request_id
from shared.settings import Settings
from shared.web.problems import install_problems
from shared.web.request_metrics import exposition, instrument

SCRIPT = """
import logging, structlog, sys
from shared.logs import begin_request, configure_logs
configure_logs(sys.argv[1])
begin_request("mine")
structlog.get_logger().info("loaded", version=3)
try:
    int("none")
except ValueError:
    structlog.get_logger().exception("broken")
logging.getLogger("rq.worker").warning("a library's %s", "word")
"""


def run_script(form: str) -> str:
    """Return what a new process logs. A new one, because logs are configured once per process."""
    return subprocess.run([sys.executable, "-c", SCRIPT, form], stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("test")
    instrument(app)
    install_problems(app)
    app.add_url_rule("/metrics", view_func=exposition)
    app.add_url_rule("/id/<thing>", view_func=lambda thing: request_id())
    return app.test_client()


def test_json_logs_have_one_line_per_event_with_its_request_id() -> None:
    ours, broken, theirs = map(json.loads, run_script("auto").splitlines())  # the output is a pipe, not a terminal
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {"event": "loaded", "version": 3, "level": "info", "request_id": "mine"}
    assert "ValueError: invalid literal" in broken["exception"]
    assert (theirs["event"], theirs["level"], theirs["request_id"]) == ("a library's word", "warning", "mine")


def test_text_logs_show_the_same_fields() -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", run_script("text"))
    assert re.search(r"\[info +\] loaded +request_id=mine version=3\n", plain)
    assert "\nValueError: invalid literal" in plain
    assert re.search(r"\[warning +\] a library's word +request_id=mine", plain)


@pytest.mark.parametrize("asked", ["a", "0123-4567_89.AB", "x" * 128, "one,two", ",".join(["y" * 128] * 64)])
def test_a_valid_request_id_is_kept(client: FlaskClient, asked: str) -> None:
    answer = client.get("/id/1", headers={REQUEST_ID: asked})
    assert answer.text == answer.headers[REQUEST_ID] == asked


@pytest.mark.parametrize("asked", [None, "", "x" * 129, "two words", "a,", 'quo"te', "é", ",".join("a" * 65)])
def test_an_invalid_request_id_is_replaced(client: FlaskClient, asked: str | None) -> None:
    headers = {} if asked is None else {REQUEST_ID: asked}
    answers = [client.get("/id/1", headers=headers) for _ in range(2)]
    ids = [answer.headers[REQUEST_ID] for answer in answers]
    assert [answer.text for answer in answers] == ids
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert ids[0] != ids[1]


def test_an_error_response_has_the_request_id(client: FlaskClient) -> None:
    assert client.get("/nowhere", headers={REQUEST_ID: "lost"}).headers[REQUEST_ID] == "lost"


def test_requests_are_counted_by_route_and_not_by_path_or_method_of_the_client(client: FlaskClient) -> None:
    for path in ("/id/1", "/id/2", "/made/up"):
        client.get(path)
    client.open("/id/3", method="BREW")
    answer = client.get("/metrics")
    assert answer.mimetype == "text/plain"
    (requests,) = (
        family
        for family in text_string_to_metric_families(answer.text)
        if family.name == "tandem_request_duration_seconds"
    )
    labels = {tuple(sample.labels[name] for name in ("route", "method", "status")) for sample in requests.samples}
    assert ("/id/<thing>", "GET", "2xx") in labels
    assert {label for label in labels if "4xx" in label} == {("other", "other", "4xx")}
    assert not {label for label in labels if "BREW" in label or "/made/up" in label}


def test_a_batched_call_has_the_ids_of_all_its_requests() -> None:
    seen: list[str] = []

    async def call(images: list) -> Outcome:
        await asyncio.sleep(0)
        seen.append(request_id())
        return Answer(images, hop_ms=1, compute_ms=1)

    async def ask() -> None:
        line, asking = Batcher("toy", call), []  # type: ignore[arg-type]
        for number in range(10):
            begin_request(f"id{number}")
            asking.append(asyncio.create_task(line.ask(np.zeros((2, 1), np.uint8), 10)))
        await asyncio.gather(*asking)
        assert request_id() == "id9"

    asyncio.run(ask())
    assert seen == ["id0", ",".join(f"id{number}" for number in range(1, 9))]


def test_without_redis_the_metrics_page_still_has_the_gateways_own_metrics(tmp_path: Path) -> None:
    environ = {"TANDEM_STATE_DIR": str(tmp_path), "TANDEM_REDIS_URL": "redis://127.0.0.1:1/0"}
    gateway = create_app(Context.from_settings(Settings.from_env(environ))).test_client()
    answer = gateway.get("/metrics")
    assert answer.status_code == 200
    families = {family.name: family.samples for family in text_string_to_metric_families(answer.text)}
    assert len(families["tandem_prediction_queue_pictures"]) == 2
    assert families["tandem_jobs_waiting"] == families["tandem_training_examples_per_second"] == []
