"""The view Models: `stable` is moved, weights are downloaded, a version is deleted, and one of many is opened."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from services.cli.client import Client
from tests.browser.conftest import WAIT_MS, assert_accessible

REQUEST = {"network": "article", "dataset": "digits", "name": "kept", "epochs": 1}


@pytest.fixture(scope="module")
def versions(client: Client) -> list[dict]:
    """Train two versions of the model `kept`."""
    begun = [client.post("/v1/trainings", REQUEST) for _ in range(2)]
    return [client.follow(f"/v1/trainings/{training['id']}") for training in begun]


def test_stable_is_moved_by_keyboard_and_its_version_cannot_be_deleted(
    new_page: Callable[..., Page], client: Client, versions: list[dict]
) -> None:
    page = new_page("/models")
    page.watched.expected = ("409",)  # type: ignore[attr-defined]
    page.get_by_role("link", name="kept", exact=True).press("Enter")
    page.wait_for_url("**/models?model=kept")
    second = page.get_by_role("region", name="Version 2", exact=True)
    second.get_by_role("button", name="Make it stable").press("Enter")
    expect(second.get_by_text("stable", exact=True)).to_be_visible()
    assert client.get("/v1/models/kept")["aliases"] == {"stable": 2}
    second.get_by_role("button", name="Delete kept 2, PyTorch").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete kept 2, PyTorch?")
    dialog.get_by_role("button", name="Delete").press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("stable", timeout=WAIT_MS)
    assert_accessible(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_weights_are_downloaded_and_a_version_is_deleted_after_a_question(
    new_page: Callable[..., Page], client: Client, versions: list[dict]
) -> None:
    page = new_page("/models?model=kept")
    first = page.get_by_role("region", name="Version 1", exact=True)
    with page.expect_download() as download:
        first.get_by_role("button", name="Download kept 1, PyTorch").click()
    manifest = client.get("/v1/models/kept?version=1")["manifests"]["pytorch"]
    content = Path(download.value.path()).read_bytes()
    assert download.value.suggested_filename == "kept-pytorch-1.safetensors"
    assert hashlib.sha256(content).hexdigest() == manifest["files"]["weights.safetensors"]["sha256"]
    first.get_by_role("button", name="Delete kept 1, PyTorch").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(first.get_by_role("button", name="Delete kept 1, PyTorch")).to_have_count(0, timeout=WAIT_MS)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert client.get("/v1/models/kept")["versions"] == {"tensorflow": [1, 2], "pytorch": [2]}


def test_a_version_is_exported_and_downloaded(new_page: Callable[..., Page], versions: list[dict]) -> None:
    page = new_page("/models?model=kept")
    second = page.get_by_role("region", name="Version 2", exact=True)
    second.get_by_text("Files that run without Tandem").click()
    for format_name, runtime in (("onnx", "onnxruntime"), ("html", "V8")):
        label = f"{format_name}, kept 2, PyTorch"
        second.get_by_role("button", name=f"Export {label}").click()
        download = second.get_by_role("button", name=f"Download {label}")
        expect(download).to_be_visible(timeout=WAIT_MS)
        expect(second.get_by_text(f"In {runtime}")).to_contain_text("360 of 360 get the model's class")
        with page.expect_download() as file:
            download.click()
        assert file.value.suggested_filename == f"kept-2-pytorch.{format_name}"
    assert_accessible(page)


def test_one_of_many_models_is_opened(new_page: Callable[..., Page], versions: list[dict]) -> None:
    names = [f"model-{number:03}" for number in range(499)] + ["kept"]
    versions = {backend: [1, 2] for backend in ("tensorflow", "pytorch")}
    body = json.dumps({"models": [{"name": name, "versions": versions} for name in names]})

    def answer(route: Route) -> None:
        route.fulfill(content_type="application/json", body=body)

    page = new_page("/train")
    page.route("**/v1/models", answer)
    page.get_by_role("link", name="Models", exact=True).click()
    table = page.get_by_role("table", name="Models")
    expect(table.get_by_role("row")).to_have_count(101)
    page.get_by_role("button", name="Show all 500").click()
    expect(table.get_by_role("row")).to_have_count(501)
    page.get_by_role("searchbox", name="Search by name").fill("KEPT")
    expect(table.get_by_role("row")).to_have_count(2)
    table.get_by_role("link", name="kept").click()
    expect(page.get_by_role("heading", name="kept")).to_be_focused()
