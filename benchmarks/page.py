"""How quickly the page shows what happens: epochs of a running training on ten pages, and clicks with 500 trainings.

    .venv/test/bin/python -m benchmarks.page

An epoch's delay is measured from the moment when Redis has the trainer's report until the page's text has changed.
A click's delay is the browser's own: from the input until the next frame is painted (Event Timing API).
"""

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

from playwright.sync_api import Browser, Page, sync_playwright
from redis import Redis

from benchmarks.stack import running_stack
from services.cli.client import Client
from shared.jobs.connection import connect

PAGES = 10
REPORT_POLL_S = 0.005  # how often Redis is asked for the newest epoch
EPOCHS = 40  # that are measured, once all pages are open
TRAININGS = 500
LONG = {"network": "cnn", "dataset": "digits", "epochs": 1000, "backends": ["pytorch"]}
# Writes down when the text "epoch N of M" first has each N. Times are those of the machine's clock.
WATCH_EPOCHS = """() => {
  globalThis.epochs = {};
  new MutationObserver(() => {
    const found = /epoch (\\d+) of/.exec(document.querySelector(".run-head")?.textContent ?? "");
    if (found) globalThis.epochs[found[1]] ??= performance.timeOrigin + performance.now();
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""
WATCH_CLICKS = """() => {
  globalThis.clicks = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (entry.interactionId) globalThis.clicks.push(entry.duration);
  }).observe({ type: "event", durationThreshold: 16, buffered: true });
}"""


def main() -> None:
    """Measure and print both tables."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder, "state"), {"TANDEM_RATE_LIMIT": "0"}) as found,
    ):
        client, settings = found
        with sync_playwright() as playwright, connect(settings, patient=True) as redis:
            arguments = ["--no-sandbox"] if os.getuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
            print_epochs("in one browser profile", measure_epochs(browser, client, redis, is_shared=True))
            print_epochs("each in a profile of its own", measure_epochs(browser, client, redis, is_shared=False))
            print_clicks(measure_clicks(browser, client))
            browser.close()


def measure_epochs(browser: Browser, client: Client, redis: Redis, is_shared: bool) -> list[float]:
    """Return the delays in milliseconds of every epoch on every page.

    Args:
        is_shared: whether the pages are tabs of one profile, which share connections.
    """
    training = client.post("/v1/trainings", {**LONG, "name": f"watched-{int(is_shared)}"})
    path = f"/v1/trainings/{training['id']}"
    reported: dict[int, float] = {}
    has_ended = threading.Event()

    def note_reports() -> None:
        while not has_ended.wait(REPORT_POLL_S):
            newest = redis.llen(f"tandem:training:{training['id']}:pytorch:history")
            reported.setdefault(newest, time.time() * 1000)

    listener = threading.Thread(target=note_reports, daemon=True)
    listener.start()
    contexts = [browser.new_context(base_url=client.url) for _ in range(1 if is_shared else PAGES)]
    pages = [contexts[index % len(contexts)].new_page() for index in range(PAGES)]
    for page in pages:
        page.goto(f"/train?id={training['id']}")
        page.locator(".run-head").wait_for()
        page.evaluate(WATCH_EPOCHS)
    first = client.get(path)["runs"]["pytorch"]["epoch"] + 2
    client_waits(client, path, first + EPOCHS)
    client.post(f"{path}/cancel", {})
    shown = [{int(epoch): at_ms for epoch, at_ms in page.evaluate("globalThis.epochs").items()} for page in pages]
    has_ended.set()
    listener.join()
    for context in contexts:
        context.close()
    return [
        at_ms - reported[epoch]
        for times in shown
        for epoch, at_ms in times.items()
        if epoch in reported and first <= epoch < first + EPOCHS
    ]


def client_waits(client: Client, path: str, epoch: int) -> None:
    """Wait until a training has finished an epoch."""
    while client.get(path)["runs"]["pytorch"]["epoch"] < epoch:
        time.sleep(1)


def measure_clicks(browser: Browser, client: Client) -> dict[str, float]:
    """Return the delay in milliseconds of each click on a page with many trainings."""
    for _ in range(TRAININGS):
        training = client.post("/v1/trainings", {"network": "article", "dataset": "digits", "epochs": 1})
        client.post(f"/v1/trainings/{training['id']}/cancel", {})
    page = browser.new_context(base_url=client.url, viewport={"width": 1280, "height": 800}).new_page()
    page.goto("/train")
    older = page.get_by_role("button", name="Show older ones")
    older.wait_for()
    page.evaluate(WATCH_CLICKS)
    delays = {}
    shown, slowest = 0, 0.0
    while older.count():
        slowest = max(slowest, click(page, older))
        page.wait_for_function(f"document.querySelectorAll('.job-list tbody tr').length > {shown}")
        shown = page.locator(".job-list tbody tr").count()
        page.wait_for_load_state("networkidle")
    print(f"{shown} trainings are listed")
    delays["show older trainings, slowest"] = slowest
    delays["open a training"] = click(page, page.locator(".job-list a").nth(250))
    delays["open the settings"] = click(page, page.get_by_text("More settings"))
    delays["switch the language"] = click(page, page.get_by_role("button", name="中文"))
    for view in ("draw", "compare", "load", "code", "models", "data", "queue", "train"):
        delays[f"open the view {view}"] = click(page, page.locator(f"nav a[href='/{view}']"))
        page.wait_for_load_state("networkidle")
    return delays


def click(page: Page, target: object) -> float:
    """Click, and return the longest delay of the events of this click; 16 if all were shorter than that."""
    page.evaluate("globalThis.clicks = []")
    target.click()  # type: ignore[attr-defined]
    page.wait_for_timeout(300)
    return max([16.0, *page.evaluate("globalThis.clicks")])


def print_epochs(title: str, delays: list[float]) -> None:
    """Print the median, the 95th percentile and the largest of some delays."""
    p95 = quantiles(delays, n=20)[-1]
    print(
        f"epoch on {PAGES} pages, {title}: median {median(delays):.0f} ms, p95 {p95:.0f} ms, "
        f"largest {max(delays):.0f} ms, {len(delays)} figures"
    )


def print_clicks(delays: dict[str, float]) -> None:
    """Print each click's delay."""
    for title, delay in delays.items():
        print(f"{title:35} {delay:5.0f} ms")


if __name__ == "__main__":
    main()
