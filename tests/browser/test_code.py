"""The view Code: both files stand side by side, or one at a time on a narrow window."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import assert_accessible

DIFFERENCES = Path("services/pytorch/backend.py").read_text().count("# Twin:")


def test_the_files_stand_side_by_side_and_their_differences_in_the_same_rows(new_page: Callable[..., Page]) -> None:
    page = new_page("/code")
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Train", exact=True).click()
    section = page.get_by_role("region", name="Train", exact=True)
    expect(section).to_be_in_viewport()
    for comment in ("# Twin: a tape records the operations", "# Twin: tensors record the operations"):
        expect(section.get_by_role("row").filter(has_text=comment)).to_have_text(
            "    # Twin: a tape records the operations; it returns the gradients, which"
            "    # Twin: tensors record the operations; `backward` stores each gradient"
        )
    assert page.locator("tr.twin").filter(has_text="# Twin:").count() == DIFFERENCES - 1  # one is in the docstring
    assert_accessible(page)


def test_a_narrow_window_shows_one_file_at_a_time(new_page: Callable[..., Page]) -> None:
    page = new_page("/code", viewport={"width": 390, "height": 800})
    expect(page.get_by_text("keras.Sequential([")).to_be_visible()
    expect(page.get_by_text("loss.backward()")).to_have_count(0)
    page.get_by_role("radio", name="TensorFlow").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("loss.backward()")).to_be_visible()
    expect(page.get_by_text("keras.Sequential([")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert_accessible(page)
