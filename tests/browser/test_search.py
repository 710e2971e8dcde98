"""The view Search: a space is corrected, a search is started by keyboard, watched, read and cancelled."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from services.cli.client import Client
from tests.browser.conftest import assert_accessible
from tests.browser.test_load import fill_by_keyboard


def test_a_search_is_started_by_keyboard_alone_and_its_winner_found(page: Page, new_page: Callable[..., Page]) -> None:
    page.goto("/search?dataset=digits")
    expect(page.get_by_label("Dataset", exact=True)).to_have_value("digits")
    assert_accessible(page)
    fill_by_keyboard(page, "Trials", "3")
    fill_by_keyboard(page, "Epochs", "2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="search-digits, digits")).to_be_focused()
    trials = page.get_by_role("table", name="Trials")
    expect(trials.get_by_role("row")).to_have_count(1 + 3, timeout=180_000)
    winner = page.get_by_role("region", name="Winner")
    expect(winner).to_contain_text("Test accuracy: TensorFlow", timeout=180_000)
    expect(trials.get_by_role("row").filter(has_text="★ best")).to_have_count(1)
    expect(page.get_by_text("is the best in TensorFlow and in PyTorch")).to_be_visible()
    expect(page.get_by_role("img", name="Best trial so far")).to_be_visible()
    assert_accessible(page)
    narrow = new_page(page.url, viewport={"width": 360, "height": 740})
    expect(narrow.get_by_role("table", name="Trials")).to_be_visible()
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 360
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the report").click()
    assert download.value.suggested_filename == "search-digits.html"
    trials.get_by_role("link", name="1", exact=True).click()
    expect(page.get_by_role("heading", name="search-digits-trial-1")).to_be_visible()
    expect(page.get_by_role("row", name="Validation accuracy")).to_be_visible()
    expect(page.get_by_role("radio", name="test split")).to_have_count(0)
    expect(page.get_by_role("row", name="search-digits-trial-1")).to_contain_text("% (validation)")


def test_a_space_is_refused_in_place_and_a_search_is_cancelled(page: Page, client: Client) -> None:
    page.watched.expected = ("422",)  # the browser's console names each response with an error
    page.goto("/search?dataset=digits")
    page.get_by_label("What is varied").select_option("my own, as JSON")
    editor = page.get_by_label("The space as JSON")
    start = page.get_by_role("button", name="Start the search")
    editor.fill('{"batch_size": ')
    expect(page.locator("#space-error")).to_contain_text("not JSON")
    expect(start).to_be_disabled()
    editor.fill('{"batch_sizes": {"choice": [8, 16]}}')
    start.click()
    expect(page.locator("#space-error")).to_contain_text("space.batch_sizes")
    expect(editor).to_have_attribute("aria-invalid", "true")
    assert_accessible(page)
    editor.fill('{"batch_size": {"choice": [1, 2]}}')
    page.get_by_label("Epochs").fill("200")
    start.click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("article").get_by_text("cancelled").first).to_be_visible()
    newest = client.get("/v1/searches?limit=1")["searches"][0]
    assert newest["request"]["space"]["batch_size"] == {"choice": [1, 2]}
    assert newest["status"] == "cancelled"
    page.get_by_role("link", name="Earlier searches").click()
    expect(page.get_by_role("row", name="search-digits, digits").first).to_contain_text("cancelled")
