"""Take the screenshots of docs/: every view of the page, with something to see. `make screenshots` runs this.

    .venv/test/bin/python -m tests.browser.screenshots [folder]

The stack needs MNIST. Each picture is as wide as its name says, and shows the top of the page.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.stack import running_stack
from services.cli.client import Client, ClientError
from tests.browser.conftest import CHROMIUM
from tests.browser.test_draw import SEVEN, draw

FOLDER = Path("docs/screenshots")
SIZES = {390: 844, 1280: 900}  # widths and heights, in CSS pixels
TRAINING = {
    "network": "mlp",
    "dataset": "mnist",
    "epochs": 10,
    "pairing": "native",
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
}


def main(folder: Path) -> None:
    """Fill a stack with work, and write a picture of each view at each width."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as state, running_stack(Path(state, "state")) as (client, _):
        views = submit_work(client)
        with sync_playwright() as playwright:
            arguments = ["--no-sandbox"] if os.getuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
            for width, height in SIZES.items():
                for name, (address, prepare) in views.items():
                    for scheme in ("light", "dark") if name == "train" else ("light",):
                        page = browser.new_page(
                            base_url=client.url, viewport={"width": width, "height": height}, color_scheme=scheme
                        )
                        page.goto(address)
                        page.wait_for_load_state("networkidle")
                        prepare(page)
                        page.wait_for_timeout(1000)  # for pictures and answers that come after the view
                        suffix = "-dark" if scheme == "dark" else ""
                        page.screenshot(path=folder / f"{name}-{width}{suffix}.png")
                        page.close()
            browser.close()


def submit_work(client: Client) -> dict[str, tuple[str, Callable[[Page], None]]]:
    """Train, evaluate and load a model, search, and release.

    Returns:
        Each view's address, and what to do before its picture is taken.
    """
    training = client.post("/v1/trainings", TRAINING)
    client.follow(f"/v1/trainings/{training['id']}")
    evaluation = client.post("/v1/evaluations", {"model": training["name"]})
    client.follow(f"/v1/evaluations/{evaluation['id']}")
    load_test = client.post("/v1/loadtests", {"model": training["name"], "target_qps": [20, 50], "duration_s": 10})
    client.follow(f"/v1/loadtests/{load_test['id']}")
    search = client.post("/v1/searches", {"dataset": "digits", "trials": 12})
    name = client.follow(f"/v1/searches/{search['id']}")["name"]
    client.follow(f"/v1/releases/{client.post('/v1/releases', {'model': name})['id']}")
    worse = client.post("/v1/trainings", {"network": "mlp", "dataset": "digits", "epochs": 3, "name": name})
    client.follow(f"/v1/trainings/{worse['id']}")
    release = client.post("/v1/releases", {"model": name})
    with suppress(ClientError):  # it is refused
        client.follow(f"/v1/releases/{release['id']}")
    for epochs in (300, 5, 5):
        client.post("/v1/trainings", {**TRAINING, "dataset": "digits", "epochs": epochs})

    def stay(_: Page) -> None:
        """Show the view as it is."""

    return {
        "train": (f"/train?id={training['id']}", lambda page: page.evaluate("scrollTo(0, 0)")),
        "draw": ("/draw", lambda page: draw(page, SEVEN)),
        "compare": (f"/compare?model={training['name']}&version={training['version']}", stay),
        "load": (f"/load?id={load_test['id']}", stay),
        "search": (f"/search?id={search['id']}", stay),
        "releases": (f"/releases?id={release['id']}", stay),
        "code": ("/code", stay),
        "models": (f"/models?model={training['name']}", stay),
        "data": ("/data", stay),
        "queue": ("/queue", stay),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
