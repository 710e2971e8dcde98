"""The view Load: a load test is started, watched, read and cancelled."""

import re

from playwright.sync_api import Page, expect

from services.cli.client import Client
from tests.browser.conftest import assert_accessible


def fill_by_keyboard(page: Page, label: str, value: str) -> None:
    """Press Tab until a field has the focus, and replace its content."""
    field = page.get_by_label(label, exact=True)
    for _ in range(40):
        page.keyboard.press("Tab")
        if field.evaluate("field => field === document.activeElement"):
            break
    expect(field).to_be_focused()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type(value)


def test_a_short_load_test_is_started_by_keyboard_alone_and_its_report_read(page: Page, client: Client) -> None:
    page.goto("/load?model=welcome")
    rates = page.get_by_role("textbox", name="Requests per second")
    expect(rates).to_be_visible()
    assert_accessible(page)
    fill_by_keyboard(page, "Requests per second", "20")
    fill_by_keyboard(page, "Seconds each", "1")
    expect(page.get_by_role("status").filter(has_text="Time under load")).to_contain_text(": 2.0 s")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="welcome, version 1")).to_be_focused()
    table = page.get_by_role("table", name="At 20/s")
    expect(table).to_be_visible(timeout=180_000)
    for row in ("p50 latency", "p99 latency", "Rate achieved", "Peak memory"):
        expect(table.get_by_role("row", name=row).get_by_role("cell")).to_have_count(2)
    result = page.get_by_role("region", name="Result")
    # On a busy machine the load generator is late, and the report says that nothing can be claimed.
    expect(result).to_contain_text(re.compile(r"p99 latency \(20/s\): PyTorch minus TensorFlow is|cannot be compared"))
    chart = page.get_by_role("img", name="Latency by rate")
    expect(chart).to_have_attribute("src", re.compile("^blob:"), timeout=60_000)  # the server draws it first
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "load-test-welcome-1.csv"
    assert download.value.path().read_text().startswith("backend,target_qps")
    assert_accessible(page)
    page.get_by_role("link", name="Earlier load tests").click()
    expect(page.get_by_role("link", name="welcome, version 1").first).to_be_visible()


def test_a_load_test_of_one_backend_against_itself_is_cancelled(page: Page, client: Client) -> None:
    page.goto("/load?model=welcome")
    rates = page.get_by_role("textbox", name="Requests per second")
    rates.fill("20, many")
    page.get_by_role("button", name="Start the load test").click()
    expect(rates).to_be_focused()
    assert rates.evaluate("field => field.validity.patternMismatch")
    page.get_by_label("When requests are sent").select_option("one after another")
    page.get_by_label("PyTorch", exact=True).uncheck()
    page.get_by_label("measure TensorFlow twice").check()
    page.get_by_label("Seconds each").fill("600")
    page.get_by_role("button", name="Start the load test").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("article").get_by_text("cancelled")).to_be_visible()
    newest = client.get("/v1/loadtests?limit=1")["loadtests"][0]
    assert newest["request"]["backends"] == ["tensorflow", "tensorflow"]
    assert newest["status"] == "cancelled"
