"""The gateway's metrics."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from services.gateway.app import create_app
from services.gateway.context import Context
from shared.settings import Settings
from shared.web.gate import CALLER, Caller


def test_without_redis_a_scrape_still_returns_what_the_gateway_itself_knows(tmp_path: Path) -> None:
    environ = {"TANDEM_STATE_DIR": str(tmp_path), "TANDEM_REDIS_URL": "redis://127.0.0.1:1/0"}
    gateway = create_app(Context.from_settings(Settings.from_env(environ))).test_client()
    answer = gateway.get("/metrics", environ_overrides={CALLER: Caller("test", frozenset({"read"}))})
    assert answer.status_code == 200
    families = {family.name: family.samples for family in text_string_to_metric_families(answer.text)}
    assert len(families["tandem_prediction_queue_pictures"]) == 2
    assert families["tandem_jobs_waiting"] == families["tandem_training_examples_per_second"] == []
