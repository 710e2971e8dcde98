"""Fixtures of the browser suite: a running stack, Chromium, and pages that report every error in their console."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, sync_playwright

from services.cli.client import Client
from services.stack.stack import Stack
from shared.data import datasets
from shared.data.splits import Split
from shared.errors import MissingDatasetError
from shared.settings import Settings
from tests.running_stack import running_suite_stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAIT_MS = 60_000
SCHEMES = ("light", "dark")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this suite, and skip it with a reason if this machine has no Chromium."""
    for item in items:
        item.add_marker(pytest.mark.browser)
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip("Chromium is missing: sudo apt-get install -y chromium"))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Yield a running stack of this suite's own."""
    with running_suite_stack() as stack:
        yield stack


@pytest.fixture(scope="session")
def client(stack: Stack) -> Client:
    """Return a client of the stack's API."""
    return Client(stack.url)


@pytest.fixture(scope="session")
def mnist_test() -> Split:
    """Return MNIST's test split. Without MNIST on this machine, the test is skipped."""
    settings = Settings.from_env()
    mnist = datasets.find("mnist", settings)
    try:
        datasets.ensure_cached(mnist, settings)
    except MissingDatasetError as error:
        pytest.skip(f"MNIST is missing: {error}")
    return datasets.read(mnist, "test", settings)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Yield Playwright's entry point."""
    with sync_playwright() as entry:
        yield entry


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Yield the system's Chromium. As root it runs without its sandbox, because Chromium would not start."""
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    yield browser
    browser.close()


class Watched:
    """What a browser's context must not do: log errors, and ask another origin.

    Args:
        origin: the only origin that pages may ask.
        expected: texts of which a console message must contain one to be allowed, such as a status that a test causes.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.errors: list[str] = []
        self.expected: tuple[str, ...] = ()
        self._origin = origin
        context.on("console", lambda message: message.type in ("error", "warning") and self._add(message.text))
        context.on("weberror", lambda error: self._add(str(error.error)))
        context.on("request", self._check_origin)

    def _add(self, text: str) -> None:
        self.errors.append(text)

    def _check_origin(self, request: Request) -> None:
        if not request.url.startswith((self._origin, "blob:", "data:")):
            self._add(f"a request to another origin: {request.url}")

    def unexpected(self) -> list[str]:
        """Return the errors that the test did not expect."""
        return [text for text in self.errors if not any(part in text for part in self.expected)]


@pytest.fixture
def new_page(browser: Browser, stack: Stack) -> Iterator[Callable[..., Page]]:
    """Yield a function that opens a page in a context of its own. The test fails if a console shows an error.

    The function's arguments are those of `Browser.new_context`; `page.watched` holds what was reported.
    """
    opened: list[tuple[BrowserContext, Watched]] = []

    def open_page(path: str = "/", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "base_url": stack.url, **options})
        context.set_default_timeout(WAIT_MS)
        watched = Watched(context, stack.url)
        opened.append((context, watched))
        page = context.new_page()
        page.watched = watched  # type: ignore[attr-defined]
        page.goto(path)
        return page

    yield open_page
    errors = [text for _, watched in opened for text in watched.unexpected()]
    for context, _ in opened:
        context.close()
    assert not errors


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """Return a page of 1,280 by 800 pixels that shows the first view."""
    return new_page()


def assert_accessible(page: Page) -> None:
    """Check a page with axe-core in the light and in the dark colour scheme."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert not found.violations_count, f"{scheme}: {found.generate_report()}"
