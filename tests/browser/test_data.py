"""The view Data: a dataset is uploaded through the page, looked at, trained on and deleted."""

import base64
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from services.cli.client import Client
from tests.browser.conftest import assert_accessible

BRIGHTNESS = {"cats": 40, "dogs": 210}
PER_CLASS = 12


@pytest.fixture
def data_page(page: Page) -> Page:
    """Return a page that shows the view Data, and whose file dialogs the test answers.

    The listener makes the browser announce each dialog from now on. Without it, a key could open one too early.
    """
    page.on("filechooser", lambda _: None)
    page.get_by_role("link", name="Data", exact=True).click()
    expect(page.get_by_role("heading", name="Upload your own")).to_be_visible(timeout=30_000)
    return page


def write_pictures(folder: Path) -> Path:
    """Write a folder with two classes of grey pictures that differ in their brightness."""
    noise = np.random.default_rng(0)
    for name, brightness in BRIGHTNESS.items():
        (folder / name).mkdir(parents=True)
        for index in range(PER_CLASS):
            pixels = noise.integers(brightness - 30, brightness + 30, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    (folder / "cats" / ".DS_Store").write_bytes(b"left by a file manager")
    return folder


def write_zip(folder: Path, *, broken: str | None = None) -> bytes:
    """Return a zip file of a folder's pictures. `broken` is the path of a picture to damage."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            name = path.relative_to(folder).as_posix()
            archive.writestr(name, path.read_bytes()[:60] if name == broken else path.read_bytes())
    return buffer.getvalue()


def test_a_folder_is_uploaded_and_both_backends_train_on_it(data_page: Page, client: Client, tmp_path: Path) -> None:
    page = data_page
    folder = write_pictures(tmp_path / "My Pets!")
    expect(page.get_by_role("link", name="digits")).to_be_visible()
    expect(page.locator(".picture-strip img").first).to_be_visible()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(folder)
    expect(page.get_by_text(f"My Pets!: {2 * PER_CLASS} files")).to_be_visible()
    expect(page.get_by_label("Name of the dataset")).to_have_value("my-pets")
    assert_accessible(page)
    page.get_by_role("button", name="Upload as my-pets").click()
    expect(page.get_by_role("heading", level=1, name="my-pets")).to_be_focused(timeout=60_000)
    expect(page.locator(".picture-grid figcaption").first).to_have_text("cats")
    assert_accessible(page)
    page.get_by_role("link", name="Train on it").click()
    expect(page.get_by_label("Dataset", exact=True)).to_have_value("my-pets")
    training = client.post("/v1/trainings", {"network": "mlp", "dataset": "my-pets", "epochs": 5})
    ended = client.follow(f"/v1/trainings/{training['id']}")
    assert ended["status"] == "succeeded"


def test_a_zip_file_is_refused_corrected_and_deleted_by_keyboard_alone(data_page: Page, tmp_path: Path) -> None:
    page = data_page
    page.watched.expected = ("422",)
    folder = write_pictures(tmp_path / "birds")
    focus_by_tab(page, "Choose a zip file")
    choose_and_upload(page, write_zip(folder, broken="dogs/3.png"))
    refusal = page.get_by_role("alert")
    expect(refusal).to_contain_text("dogs/3.png", timeout=60_000)
    expect(refusal).to_be_focused()
    page.keyboard.press("Shift+Tab")
    choose_and_upload(page, write_zip(folder))
    expect(page.get_by_role("heading", level=1, name="birds")).to_be_focused(timeout=60_000)
    focus_by_tab(page, "Delete")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Delete birds?")).to_be_visible()
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Datasets")).to_be_visible()
    expect(page.get_by_role("link", name="birds")).to_have_count(0)


def choose_and_upload(page: Page, content: bytes) -> None:
    """Press the button that has the focus, choose a zip file, and upload it under the suggested name."""
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files({"name": "birds.zip", "mimeType": "application/zip", "buffer": content})
    page.keyboard.press("Tab")
    expect(page.get_by_label("Name of the dataset")).to_be_focused()
    page.keyboard.press("Enter")


def focus_by_tab(page: Page, name: str) -> None:
    """Press Tab until the button with a name has the focus."""
    button = page.get_by_role("button", name=name)
    expect(button).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {name!r}")


def test_the_pages_zip_files_are_those_that_other_programs_read(page: Page) -> None:
    """Python's zipfile, which checks every checksum, reads what the page's own writer made."""
    contents = {"cats/1.png": "one", "dogs/é 猫.png": "zwei" * 1000, "empty/0.png": ""}
    made = page.evaluate(
        """async (contents) => {
            const { makeZip, crc32 } = await import("/page/components/zip.js");
            const files = Object.entries(contents).map(([path, text]) => ({ path, file: new Blob([text]) }));
            const bytes = new Uint8Array(await (await makeZip(files)).arrayBuffer());
            const check = crc32(new TextEncoder().encode("123456789"));
            return { zip: btoa(String.fromCharCode(...bytes)), check };
        }""",
        contents,
    )
    assert made["check"] == 0xCBF43926  # the check value that catalogues of CRCs list for CRC-32
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(made["zip"]))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name).decode() for name in archive.namelist()} == contents


def test_a_name_is_suggested_from_the_folders_name(page: Page) -> None:
    titles = {"Pets 2024": "pets-2024", "Äpfel.zip": "apfel", "猫": "pictures", "--x--": "x"}
    script = """async (titles) => {
        const { suggestName } = await import("/page/components/picked_files.js");
        return JSON.stringify(Object.fromEntries(titles.map((title) => [title, suggestName(title)])));
    }"""
    assert json.loads(page.evaluate(script, list(titles))) == titles
