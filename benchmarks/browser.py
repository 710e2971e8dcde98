"""How fast the browser's own forward pass is, and how large the page is.

    .venv/test/bin/python -m benchmarks.browser [--pictures N]

It needs Chromium, but no stack: the page's modules are served on loopback. Each network computes MNIST's first test
pictures one after the other, after as many that are not measured.
"""

import argparse
import base64
import gzip
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from shared.data import datasets
from shared.models.manifest import ModelDescription
from shared.models.registry import MANIFEST, WEIGHTS
from shared.models.starter import STARTER_FOLDER, STARTER_NAME
from shared.network.description import PRESETS, Network
from shared.network.weights import initial_weights, to_bytes
from shared.settings import Settings
from tests.browser.module_server import MODULES, serve_modules

MEASURE = """async ({network, weights, count}) => {
    const { createModel } = await import("/network/forward.js");
    const { parseSafetensors } = await import("/network/safetensors.js");
    const buffer = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0)).buffer;
    const pictures = new Uint8Array(await (await fetch("/pictures")).arrayBuffer());
    const model = createModel(network, parseSafetensors(buffer));
    const times = [];
    for (let round = 0; round < 2; round++) {
        for (let i = 0; i < count; i++) {
            const started = performance.now();
            model.predict(pictures.subarray(i * 784, (i + 1) * 784));
            times.push(performance.now() - started);
        }
    }
    return times.slice(count).sort((one, other) => one - other);
}"""


def list_networks() -> dict[str, tuple[Network, bytes]]:
    """Return name -> a network for MNIST and the bytes of its weights."""
    networks = {name: preset.network((28, 28, 1), 10) for name, preset in PRESETS.items()}
    found = {name: (network, to_bytes(initial_weights(network, seed=0))) for name, network in networks.items()}
    starter = ModelDescription.model_validate_json((STARTER_FOLDER / MANIFEST).read_bytes())
    return {**found, STARTER_NAME: (starter.network, (STARTER_FOLDER / WEIGHTS).read_bytes())}


def measure_sizes() -> dict[str, int]:
    """Return the bytes of the page's files after gzip, by folder."""
    sizes: dict[str, int] = {}
    for file in sorted(MODULES.rglob("*")):
        if file.suffix in (".js", ".css", ".html", ".svg"):
            folder = file.relative_to(MODULES).parts[0] if file.parent != MODULES else "."
            sizes[folder] = sizes.get(folder, 0) + len(gzip.compress(file.read_bytes(), 9))
    return sizes


def main(count: int) -> int:
    """Print both tables."""
    settings, console = Settings.from_env(), Console()
    mnist = datasets.find("mnist", settings)
    datasets.ensure_cached(mnist, settings)
    table = Table("network", "parameters", "median ms", "95th percentile ms")
    with serve_modules() as server, sync_playwright() as playwright:
        server.data["/pictures"] = datasets.read(mnist, "test", settings, count).images.tobytes()
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page()
        page.goto(server.url)
        for name, (network, weights) in list_networks().items():
            question = {
                "network": network.model_dump(mode="json"),
                "weights": base64.b64encode(weights).decode(),
                "count": count,
            }
            times = page.evaluate(MEASURE, question)
            median, high = times[len(times) // 2], times[int(len(times) * 0.95)]
            table.add_row(name, f"{network.parameter_count:,}", f"{median:.2f}", f"{high:.2f}")
        browser.close()
    console.print(table)
    sizes = Table("folder", "bytes after gzip")
    found = measure_sizes()
    for folder, size in {**found, "all": sum(found.values())}.items():
        sizes.add_row(str(Path("services/dashboard", folder)) if folder != "all" else "all", f"{size:,}")
    console.print(sizes)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200)
    sys.exit(main(parser.parse_args().pictures))
