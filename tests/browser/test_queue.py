"""The view Queue: what runs, what waits, what has ended."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from services.cli.client import Client
from tests.browser.conftest import assert_accessible
from tests.polling import wait_until

LONG = {"network": "mlp", "dataset": "digits", "epochs": 1000, "batch_size": 4}


@pytest.fixture
def long_trainings(client: Client) -> Iterator[list[dict]]:
    """Submit two long trainings, of which one runs and the other waits. Both are cancelled at the end."""
    submitted = [client.post("/v1/trainings", {**LONG, "name": name}) for name in ("runs-first", "waits-behind")]
    yield submitted
    for training in submitted:
        client.post(f"/v1/trainings/{training['id']}/cancel", {})
    for training in submitted:
        path = f"/v1/trainings/{training['id']}"
        wait_until(lambda path=path: client.get(path)["status"] == "cancelled", message=f"{path} was not cancelled")


def test_the_queue_shows_what_runs_and_waits_and_cancels_it_by_keyboard(page: Page, long_trainings: list[dict]) -> None:
    page.goto("/queue")
    for backend in ("TensorFlow", "PyTorch"):
        queue = page.get_by_role("region", name=backend)
        expect(queue.get_by_role("progressbar")).to_be_visible()
        expect(queue.locator("ul").get_by_role("link", name="runs-first")).to_be_visible()
        expect(queue.locator("ol").get_by_role("link", name="waits-behind")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Cancel: waits-behind").first.focus()
    page.keyboard.press("Enter")
    jobs = page.get_by_role("region", name="All jobs")
    expect(jobs.get_by_role("row", name="waits-behind").first).to_contain_text("cancelled", timeout=30_000)
    page.get_by_label("Kind of job").select_option("Load test")
    expect(jobs.get_by_role("link", name="waits-behind")).to_have_count(0)
    assert_accessible(page)
    page.get_by_role("link", name="runs-first").first.click()
    expect(page.get_by_role("heading", name="runs-first, version")).to_be_visible()
