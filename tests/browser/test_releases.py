"""The view Releases: a version passes its gates, a worse one is refused with pictures, and the release is reverted."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from services.cli.client import Client
from tests.browser.conftest import assert_accessible

NAME = "released"
GOOD = {"network": "mlp", "dataset": "digits", "epochs": 10, "optimizer": {"name": "adam"}, "name": NAME}


@pytest.fixture
def two_versions(client: Client) -> None:
    """Train a good version 1 and a bad version 2."""
    for request in (GOOD, {**GOOD, "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1e-6}}):
        client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")


def release(page: Page, version: str) -> None:
    """Start a release of a version without a load test."""
    page.goto(f"/releases?model={NAME}&version={version}")
    page.get_by_text("Gates:").click()
    page.get_by_label("Latency under load").uncheck()
    page.get_by_role("button", name="Check and release").press("Enter")
    expect(page.get_by_role("heading", level=1, name=f"{NAME}, version {version}")).to_be_focused()


def test_a_version_passes_a_worse_one_is_refused_and_the_release_is_reverted(
    page: Page, two_versions: None, client: Client, new_page: Callable[..., Page]
) -> None:
    release(page, "1")
    gates = page.get_by_role("listitem")
    expect(page.get_by_text("stable is version 1. There was none before.")).to_be_visible(timeout=180_000)
    expect(gates.filter(has_text="passed")).to_have_count(4)
    expect(gates.filter(has_text="left out")).to_have_count(2)
    assert_accessible(page)
    passed = page.url
    release(page, "2")
    refused = gates.filter(has_text="Accuracy against stable")
    expect(refused).to_contain_text("failed", timeout=180_000)
    expect(refused.get_by_role("img").first).to_be_visible()
    expect(page.get_by_text("gate accuracy:")).to_be_visible()
    expect(page.get_by_text("stable stays at version 1.")).to_be_visible()
    expect(gates.filter(has_text="not checked")).to_have_count(2)
    assert_accessible(page)
    narrow = new_page(page.url, viewport={"width": 360, "height": 740})
    expect(narrow.get_by_text("stable stays at version 1.")).to_be_visible()
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 360
    page.goto(passed)
    page.get_by_role("button", name="Revert").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("There will be no stable version.")
    dialog.get_by_role("button", name="Revert").press("Enter")
    expect(page.get_by_text("Reverted:")).to_be_visible()
    assert "stable" not in client.get(f"/v1/models/{NAME}")["aliases"]
    page.get_by_role("link", name="Earlier releases").click()
    listed = page.get_by_role("row", name=f"{NAME}, version")
    expect(listed).to_have_count(2)
    expect(listed.first).to_contain_text("gate accuracy:")
    expect(listed.last).to_contain_text("Reverted:")


def test_a_release_can_begin_with_a_training(page: Page, client: Client) -> None:
    page.goto("/releases")
    page.get_by_label("train a new version first").check()
    page.get_by_label("Dataset", exact=True).select_option("digits")
    page.get_by_text("Gates:").click()
    page.get_by_label("Accuracy it may lose").fill("0.5")
    page.get_by_role("button", name="Train TensorFlow + PyTorch").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("article").get_by_text("cancelled").first).to_be_visible()
    newest = client.get("/v1/releases?limit=1")["releases"][0]["request"]
    assert newest["train"]["dataset"] == "digits"
    assert newest["gates"]["accuracy"]["margin"] == 0.5
