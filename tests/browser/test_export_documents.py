"""The commands, programs and web pages of docs/exports.md work as printed."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, expect

from services.cli.client import Client
from services.stack.stack import Stack, python_of
from tests.browser.conftest import WAIT_MS
from tests.stack.documents import Example, check_output, read_examples

DOCUMENT = "docs/exports.md"
FOLDER = "/tmp/exports"
EXAMPLES = read_examples(DOCUMENT)
PROGRAMS = [example for example in EXAMPLES if example.language == "python"]
PAGES = re.findall(r"^```html\n(.*?)^```$", Path(DOCUMENT).read_text(), re.DOTALL | re.MULTILINE)
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
RUNTIME_FOLDER = Path(".tandem/onnxruntime-web")
TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html"}


@pytest.fixture(scope="module")
def folder(client: Client, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the model of the document, run its commands in their order, and return the folder with their files."""
    training = client.post(
        "/v1/trainings",
        {"network": "mlp", "dataset": "digits", "epochs": 20, "optimizer": {"name": "sgd", "learning_rate": 0.2}},
    )
    assert client.follow(f"/v1/trainings/{training['id']}")["version"] == 1
    folder = tmp_path_factory.mktemp("exports")
    for example in EXAMPLES:
        if example.language == "sh":
            command = example.command.replace(FOLDER, str(folder)).replace("./tandem", f"./tandem --url {stack.url}")
            check_output(example, run(["bash", "-euc", command]))
    return folder


def run(command: list[str], folder: Path | None = None) -> str:
    """Run a program in a folder, and return what it prints."""
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def environment_of(program: str) -> str:
    """Return the environment that has the packages of a program."""
    if "torch" in program:
        return "pytorch"
    return "tensorflow" if "tensorflow" in program or "litert" in program else "test"


@pytest.mark.parametrize(
    "example", PROGRAMS, ids=lambda example: re.findall(r"onnxruntime|cv2|litert|tensorflow|torch", example.command)[0]
)
def test_a_program_recognises_the_seven(folder: Path, example: Example) -> None:
    program = folder / "program.py"
    program.write_text(example.command)
    python = [
        str(Path(part).absolute()) if "/" in part else part for part in python_of(environment_of(example.command))
    ]
    check_output(example, run([*python, "program.py"], folder))
    assert (example.output_kind, example.output) == ("text", "7\n")


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Yield the address of a server of static files."""

    class Handler(SimpleHTTPRequestHandler):
        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, **TYPES}  # noqa: RUF012 - as in the base class

        def log_message(self, *args: object) -> None:
            """Keep the tests' output free of requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("source", PAGES, ids=lambda source: re.findall("<title>(.*)</title>", source)[0])
def test_a_page_recognises_the_seven(folder: Path, browser: Browser, source: str) -> None:
    if RUNTIME_FILES[0] in source:
        missing = [name for name in RUNTIME_FILES if not (RUNTIME_FOLDER / name).is_file()]
        if missing:
            pytest.skip(f"copy {' and '.join(missing)} of npm's onnxruntime-web to {RUNTIME_FOLDER}")
        for name in RUNTIME_FILES:
            shutil.copy(RUNTIME_FOLDER / name, folder)
    (folder / "page.html").write_text(source)
    reports: list[str] = []
    with serve(folder) as address:
        page = browser.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda message: message.type == "error" and reports.append(message.text))
        page.on("pageerror", lambda error: reports.append(str(error)))
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto(f"{address}/page.html")
        if "iframe" in source:
            frame = page.frame_locator("iframe")
            frame.locator("input[type=file]").first.set_input_files("samples/seven.png")
            expect(frame.locator("#class")).to_have_text(re.compile("[0-9]"))
        else:
            expect(page.locator("#answer")).to_have_text("7", timeout=WAIT_MS)
        page.close()
    assert not reports
