"""The view Train: a training is started and watched with the mouse, with the keyboard, and from ten pages."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from services.cli.client import Client
from tests.browser.conftest import assert_accessible

SHORT = {"network": "mlp", "dataset": "digits", "epochs": 3}


def train_on_digits(page: Page, epochs: int) -> None:
    """Fill the form for a training on digits, and start it."""
    page.get_by_label("Dataset", exact=True).select_option("digits")
    page.get_by_label("Epochs").fill(str(epochs))
    page.get_by_role("button", name="Train TensorFlow + PyTorch").click()


def test_a_training_of_both_backends_grows_on_the_page_until_it_has_succeeded(page: Page) -> None:
    page.get_by_label("Network", exact=True).select_option("mlp")
    expect(page.get_by_role("row", name="dense 128 relu")).to_be_visible()
    train_on_digits(page, 20)
    training = page.get_by_role("region", name="Training", exact=True)
    expect(training.get_by_text("epoch 20 of 20")).to_have_count(2, timeout=120_000)
    expect(training.get_by_text("predict the same class for")).to_be_visible(timeout=60_000)
    expect(page.locator(".job-list .current")).to_contain_text("succeeded")  # earlier trainings: this one ended, too
    assert "?id=" in page.url
    training.get_by_text("Figures").click()
    expect(training.get_by_role("row")).to_have_count(1 + 20 + 1 + 7)  # the curves' table, and the newest figures
    assert_accessible(page)


def test_a_training_is_started_and_cancelled_by_keyboard_alone(page: Page, client: Client) -> None:
    page.get_by_label("Dataset", exact=True).focus()
    while page.get_by_label("Dataset", exact=True).input_value() != "digits":
        page.keyboard.press("ArrowDown")
    for label, value in (("Epochs", "1000"), ("Batch size", "8")):
        page.keyboard.press("Tab")
        expect(page.get_by_label(label)).to_be_focused()
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type(value)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2, name="version")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Training", exact=True).get_by_text("cancelled").first).to_be_visible(
        timeout=60_000
    )
    newest = client.get("/v1/trainings?limit=1")["trainings"][0]
    assert newest["request"]["epochs"] == 1000
    assert newest["status"] == "cancelled"


def test_a_network_that_does_not_fit_is_refused_beside_the_layer(page: Page) -> None:
    page.watched.expected = ("422",)  # the browser's console names each response with an error
    page.get_by_text("Edit as JSON").click()
    editor = page.get_by_label("The network as JSON")
    text = editor.input_value()
    editor.fill(text.replace('"kind":"flatten"', '"kind":"conv2d","filters":4,"kernel_size":99'))
    expect(page.locator("#network-error")).to_contain_text("layers.0")
    expect(page.locator(".network tr.invalid")).to_contain_text("flatten")
    editor.fill(text + "}")
    expect(page.locator("#network-error")).to_contain_text("not JSON")
    editor.fill(text.replace('"units":10,"activation"', '"units":33,"activation"'))
    expect(page.get_by_role("row", name="dense 33 sigmoid")).to_be_visible()


def test_a_search_finds_an_earlier_training(page: Page, client: Client) -> None:
    wanted = client.post("/v1/trainings", {**SHORT, "name": "needle", "epochs": 1})
    client.follow(f"/v1/trainings/{wanted['id']}")
    page.get_by_label("Search").fill("needle")
    link = page.get_by_role("link", name="needle 1")
    expect(link).to_be_visible()
    expect(page.locator(".job-list tbody tr")).to_have_count(1)
    link.click()
    expect(page.get_by_role("heading", name="needle, version 1")).to_be_visible()
    page.get_by_label("Search").fill("nothing has this name")
    expect(page.get_by_text("None matches")).to_be_visible()


def test_the_page_speaks_chinese(new_page: Callable[..., Page]) -> None:
    page = new_page("/", locale="zh-CN")
    expect(page.get_by_role("link", name="训练")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("训练")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Train")


def test_the_page_works_at_360_pixels(new_page: Callable[..., Page]) -> None:
    for view in ("train", "search", "draw", "compare", "load", "releases", "code", "models", "data", "queue"):
        page = new_page(f"/{view}", viewport={"width": 360, "height": 740})
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, f"{view} scrolls sideways"
        page.context.close()
