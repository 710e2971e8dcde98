"""Runs an HTML file of `shared/exports/html_page.py` in V8, the JavaScript engine of Chromium, without a browser.

It runs the very script and reads the very weights that the file contains. It adds only what every browser has and a
bare engine lacks. It is run by its path, and imports nothing of Tandem.
"""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from py_mini_racer import MiniRacer

BROWSER_FUNCTIONS = """
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const atob = (text) => {
  const pieces = [];
  let [bits, count] = [0, 0];
  for (const letter of text.replace(/=+$/, "")) {
    bits = (bits << 6 | LETTERS.indexOf(letter)) & 0xffff;
    count += 6;
    if (count >= 8) pieces.push(String.fromCharCode(bits >> (count -= 8) & 0xff));
  }
  return pieces.join("");
};
class TextDecoder { // of the header of the weights, which is ASCII
  decode(bytes) { return Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""); }
}
"""
PREDICT = """
const predictAll = (text, size) => {
  const pixels = tandem.decodeBase64(text);
  const answers = [];
  for (let i = 0; i < pixels.length; i += size) answers.push(Array.from(model.predict(pixels.subarray(i, i + size))));
  return JSON.stringify(answers);
};
"""


def load(file: str, threads: int) -> tuple[str, Callable[[Any], Any]]:
    """Return the engine's name and version, and a function from images uint8 [N, H, W, C] to probabilities."""
    scripts = _ScriptReader(file).scripts
    engines = [MiniRacer() for _ in range(threads)]
    for engine in engines:
        engine.eval(BROWSER_FUNCTIONS + scripts["core"])
        engine.eval(f"const model = tandem.openModel({json.dumps(scripts['model'])});{PREDICT}")

    def predict(engine: MiniRacer, images: Any) -> list[list[float]]:
        pixels = base64.b64encode(images.tobytes()).decode()
        found: list[list[float]] = json.loads(str(engine.eval(f'predictAll("{pixels}", {images[:1].size})')))
        return found

    def predict_all(images: Any) -> Any:
        parts = np.array_split(images, min(threads, len(images)))
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate([np.array(found) for found in pool.map(predict, engines, parts)])

    return f"V8 {engines[0].v8_version} (mini-racer {version('mini-racer')})", predict_all


class _ScriptReader(HTMLParser):
    """Reads the scripts of a page.

    Attributes:
        scripts: id of a script element -> its text.
    """

    def __init__(self, file: str) -> None:
        super().__init__()
        self.scripts: dict[str, str] = {}
        self._id = ""
        self.feed(Path(file).read_text())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember which element the next text belongs to."""
        self._id = (dict(attrs).get("id") or "") if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        """Keep the text of a script."""
        if self._id:
            self.scripts[self._id] = self.scripts.get(self._id, "") + data

    def handle_endtag(self, _: str) -> None:
        """Forget the element."""
        self._id = ""
