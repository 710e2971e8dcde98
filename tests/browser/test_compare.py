"""The view Compare: an evaluation is started, followed and read, and a certificate is made."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from services.cli.client import Client
from tests.browser.conftest import WAIT_MS, assert_accessible

NATIVE = {"network": "mlp", "dataset": "digits", "name": "compared", "epochs": 2, "pairing": "native"}
ALONE = {**NATIVE, "name": "alone", "backends": ["pytorch"], "optimizer": {"name": "sgd", "learning_rate": 0.08}}
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def trainings(client: Client) -> list[dict]:
    """Train a model in both backends, which do not begin with the same weights, and one in a single backend."""
    begun = [client.post("/v1/trainings", request) for request in (NATIVE, ALONE)]
    return [client.follow(f"/v1/trainings/{training['id']}") for training in begun]


def test_an_evaluation_is_started_and_its_figures_are_those_of_the_api(
    new_page: Callable[..., Page], client: Client, trainings: list[dict]
) -> None:
    page = new_page(f"/compare?model=compared&version={trainings[0]['version']}")
    page.get_by_role("button", name="Evaluate on the test pictures").press("Enter")
    pair = page.get_by_role("region", name=re.compile("TensorFlow.*PyTorch"))
    expect(pair).to_be_visible(timeout=WAIT_MS)
    evaluation = client.get("/v1/evaluations?search=compared")["evaluations"][0]
    for result in evaluation["results"].values():
        expect(page.get_by_role("cell", name=f"{result['accuracy']:.2%}", exact=True).first).to_be_visible()
        assert sum(map(sum, result["confusion"])) == 360
    (comparison,) = evaluation["comparisons"]
    only = comparison["mcnemar"]["only"]
    expect(pair).to_contain_text(f"TensorFlow alone was right on {only['tensorflow']} pictures, PyTorch alone on")
    expect(pair).to_contain_text("native pairing")
    shown = min(12, len(comparison["disagreements"]))
    expect(pair.get_by_role("img", name="Picture")).to_have_count(shown)
    expect(pair.locator("img")).to_have_count(shown)
    assert pair.locator("img").first.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") == 8
    confusion = page.get_by_role("table", name="Confusion matrix of PyTorch")
    assert confusion.get_by_role("row").nth(1).get_by_role("cell").all_inner_texts() == [
        str(count) for count in evaluation["results"]["pytorch"]["confusion"][0]
    ]
    assert_accessible(page)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_model_of_one_backend_has_figures_too_and_a_certificate_compares_its_network(
    new_page: Callable[..., Page], trainings: list[dict]
) -> None:
    page = new_page("/compare?model=alone")
    page.get_by_role("button", name="Evaluate on the test pictures").click()
    expect(page.get_by_role("table", name="Confusion matrix of PyTorch")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_role("table", name="Confusion matrix of TensorFlow")).to_have_count(0)
    page.get_by_role("button", name="Check parity").click()
    parity = page.get_by_role("region", name="Parity certificate")
    expect(parity.get_by_text("The frameworks compute the same, except for rounding.")).to_be_visible(
        timeout=3 * WAIT_MS
    )
    expect(parity).to_contain_text("the first difference is")
    parity.get_by_text("Differences at each step").click()
    expect(parity.get_by_role("img", name="Differences at each step: The frameworks compute the same")).to_be_visible(
        timeout=WAIT_MS
    )


def test_a_version_that_does_not_exist_is_said_to_be_missing(new_page: Callable[..., Page]) -> None:
    page = new_page("/compare?model=welcome&version=99")
    expect(page.get_by_text("There is no such version")).to_be_visible()
    page.get_by_label("Version").select_option("1")
    expect(page.get_by_role("button", name="Evaluate on the test pictures")).to_be_visible()
