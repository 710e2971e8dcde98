"""The view Draw: a drawing is answered by every backend and by the browser itself."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from services.stack.stack import Stack
from tests.browser.conftest import WAIT_MS, assert_accessible
from tests.polling import wait_until

SEVEN = [(0.3, 0.25), (0.7, 0.25), (0.4, 0.85)]
PAD = ".pad canvas"
expect.set_options(timeout=WAIT_MS)


@pytest.fixture
def draw_page(new_page) -> Page:
    """Return the view Draw of the model `welcome`, once the browser has the weights."""
    with (page := new_page("about:blank")).expect_response("**/weights.safetensors"):
        page.goto("/draw")
    return page


def draw(page: Page, points: list[tuple[float, float]]) -> None:
    """Draw a line with the mouse. The points are shares of the drawing area's side."""
    box = page.locator(PAD).bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(x, y, steps=8)
    page.mouse.up()


def expect_answers(page: Page, stack: Stack, text: str) -> None:
    """Wait until every framework and the browser answer with a class."""
    expect(page.locator(".draw-class")).to_have_text(text)
    expect(page.locator(".draw-bars thead th")).to_have_count(len(stack.settings.backends) + 2)
    for cell in page.locator(".draw-bars tr", has=page.locator(f"th:text-is('{text}')")).locator("td").all():
        expect(cell).to_contain_text("%")


def test_a_seven_drawn_with_the_mouse_is_a_seven_to_both_backends_and_the_browser(draw_page, stack):
    expect(draw_page.locator(".state.empty")).to_be_visible()
    draw(draw_page, SEVEN)
    expect_answers(draw_page, stack, "7")
    expect(draw_page.locator(".draw-spoken")).to_have_text("7 All agree.")
    expect(draw_page.locator(".draw-result canvas")).to_have_js_property("width", 28)
    # The probabilities are of the same pixels and the same weights, so they are equal up to rounding.
    for row in draw_page.locator(".draw-bars tbody tr").all():
        assert len(set(row.locator("td").all_inner_texts())) == 1
    assert_accessible(draw_page)


def test_a_tap_leaves_a_dot(draw_page):
    draw_page.locator(PAD).click()
    middle = "(canvas) => [...canvas.getContext('2d').getImageData(224, 224, 1, 1).data]"
    assert draw_page.locator(PAD).evaluate(middle) == [0, 0, 0, 255]
    expect(draw_page.locator(".draw-class")).not_to_be_empty()
    expect(draw_page.locator(".draw-notes")).not_to_contain_text("no ink")


def test_a_seven_drawn_with_the_keyboard_alone_can_be_undone(draw_page, stack):
    pad = draw_page.locator(PAD)
    for _ in range(30):
        if pad.evaluate("(element) => element === document.activeElement"):
            break
        draw_page.keyboard.press("Tab")
    expect(pad).to_be_focused()
    press = draw_page.keyboard.press
    press("Space")
    expect(draw_page.get_by_text("The pen is down.")).to_be_attached()
    for _ in range(11):
        press("ArrowRight")
    for _ in range(7):
        press("ArrowLeft")
        press("ArrowDown")
    for _ in range(9):
        press("ArrowDown")
    press("Enter")
    expect_answers(draw_page, stack, "7")
    press("Backspace")
    expect(draw_page.locator(".state.empty")).to_be_visible()


def test_pictures_are_chosen_dropped_and_pasted(draw_page, stack):
    file = Path("samples/seven.png")
    draw_page.locator("input[type=file]").first.set_input_files(file)
    expect_answers(draw_page, stack, "7")
    draw_page.get_by_role("button", name="Clear").click()
    expect(draw_page.locator(".state.empty")).to_be_visible()
    send = """([kind, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
        const options = { bubbles: true, cancelable: true, dataTransfer: transfer, clipboardData: transfer };
        const event = kind === "drop" ? new DragEvent(kind, options) : new ClipboardEvent(kind, options);
        document.querySelector(".pad").dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        draw_page.evaluate(send, [kind, list(file.read_bytes())])
        expect_answers(draw_page, stack, "7")
        draw_page.get_by_role("button", name="Clear").click()
        expect(draw_page.locator(".state.empty")).to_be_visible()


def test_a_refused_picture_says_why(draw_page, tmp_path):
    draw_page.watched.expected = ("400", "422")
    animation = tmp_path / "moving.gif"
    frames = [Image.new("L", (40, 40), level) for level in (0, 200)]
    frames[0].save(animation, save_all=True, append_images=frames[1:])
    draw_page.locator("input[type=file]").first.set_input_files(animation)
    expect(draw_page.locator(".draw-notes")).to_contain_text("moving.gif: the picture is animated")


def test_when_the_server_is_gone_the_browser_answers_alone(draw_page, stack):
    draw_page.watched.expected = ("ERR_INTERNET_DISCONNECTED", "Failed to load resource")
    draw(draw_page, SEVEN)
    expect_answers(draw_page, stack, "7")
    top = draw_page.locator(PAD).bounding_box()["y"]
    draw_page.get_by_role("button", name="Clear").click()
    draw_page.context.set_offline(True)
    draw(draw_page, SEVEN)
    expect(draw_page.locator(".draw-class")).to_have_text("7")
    expect(draw_page.locator(".draw-notes")).to_contain_text("The browser answers alone")
    expect(draw_page.locator(".notices")).to_contain_text("The server does not answer")
    assert draw_page.locator(PAD).bounding_box()["y"] == top
    draw_page.context.set_offline(False)
    draw(draw_page, [(0.45, 0.55), (0.65, 0.55)])
    expect(draw_page.locator(".draw-notes li")).to_have_count(0)


@pytest.mark.parametrize("last", ["weights.safetensors", "worker.js", "forward.js"])
def test_the_browser_answers_even_if_the_server_goes_while_its_model_starts(new_page, last):
    page = new_page("about:blank")
    page.watched.expected = ("ERR_CONNECTION_REFUSED",)
    answered = []

    def answer_until_last(route: Route) -> None:
        weights = [number for number, url in enumerate(answered) if url.endswith("weights.safetensors")]
        if weights and any(url.endswith(last) for url in answered[weights[0] :]):
            route.abort("connectionrefused")
        else:
            answered.append(route.request.url)
            route.continue_()

    page.context.route("**/*", answer_until_last)
    page.goto("/draw")
    draw(page, SEVEN)
    expect(page.locator(".draw-class")).to_have_text("7")
    notes = page.locator(".draw-notes li")
    expect(notes).to_have_text(["The server does not answer. The browser answers alone."])


def test_a_server_that_comes_back_gives_the_browser_its_weights(new_page, stack):
    page = new_page("about:blank")
    page.watched.expected = ("ERR_CONNECTION_REFUSED",)
    page.route("**/weights.safetensors", lambda route: route.abort("connectionrefused"))
    page.route("**/v1/predictions?*", lambda route: route.abort("connectionrefused"))
    page.goto("/draw")
    draw(page, SEVEN)
    expect(page.locator(".draw-notes")).to_contain_text("Browser: The server does not answer.")
    expect(page.locator(".draw-notes")).not_to_contain_text("alone")
    page.unroute_all()
    expect_answers(page, stack, "7")


def test_a_picture_that_nobody_can_read_is_not_called_blank(draw_page, tmp_path):
    draw_page.watched.expected = ("ERR_INTERNET_DISCONNECTED", "Failed to load resource")
    photo = tmp_path / "photo.heic"
    photo.write_bytes(b"a kind of picture that this browser does not know")
    draw_page.context.set_offline(True)
    draw_page.locator("input[type=file]").first.set_input_files(photo)
    expect(draw_page.locator(".draw-notes")).to_contain_text("The server does not answer")
    expect(draw_page.locator(".draw-notes")).not_to_contain_text("blank")


def test_a_model_that_only_scales_gets_a_light_pen_and_the_weights_that_the_user_chooses(new_page, client, stack):
    request = {"network": "mlp", "dataset": "digits", "name": "draw-digits", "epochs": 1}
    client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")
    page = new_page("/draw?model=draw-digits")
    expect(page.get_by_label("Light pen on dark paper")).to_be_checked()
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    titles = page.locator(".draw-bars thead th")
    cells = page.locator(".draw-bars tbody tr").first.locator("td")
    for backend in ("TensorFlow", "PyTorch"):
        page.get_by_label("The browser's weights").select_option(label=backend)
        expect(titles.last).to_have_text("Browser")
        expect(cells.last).to_contain_text("%")
        own = cells.nth(titles.all_inner_texts().index(backend) - 1)
        # Both change until the whole stroke has been answered.
        wait_until(lambda own=own: own.inner_text() == cells.last.inner_text(), message=f"{backend} has other figures")
    expect(page.locator(".draw-result canvas")).to_have_js_property("width", 8)


def test_the_view_stays_within_the_width_of_a_phone(new_page):
    page = new_page("/draw", viewport={"width": 360, "height": 740}, has_touch=True)
    draw(page, SEVEN)
    expect(page.locator(".draw-class")).to_have_text("7")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert_accessible(page)


def test_one_version_of_a_model_can_be_described(client):
    assert client.get("/v1/models/welcome?version=1") == client.get("/v1/models/welcome")
