"""The process that runs an exported file: what it may import and allocate, how it ends, and what its answers mean."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import RejectedExportError, SupersededError, UnavailableError
from shared.exports.answers import RuntimeAnswers, ask_runtime
from shared.exports.exporters import NEUTRAL_EXPORTERS, Exporter
from shared.exports.onnx_model import write_onnx
from shared.network.description import PRESETS
from tests.backend.random_examples import random_split, random_weights

NETWORK = PRESETS["article"].network((8, 8, 1), 3)
IMAGES = random_split(NETWORK, 1201, 0).images
FIRST_PIXELS = "lambda images: images.reshape(len(images), -1)[:, :3].astype('f4')"


@pytest.fixture
def ask(tmp_path: Path):
    """Return a function that runs a script: it gets the source of `load`'s body."""

    def ask(body: str, **limits: Any) -> RuntimeAnswers:
        script = tmp_path / "runtime.py"
        script.write_text(f"def load(file, threads):\n    {body}\n")
        exporter = Exporter(lambda _: b"", script, ("sqlite3",))
        return ask_runtime(exporter, tmp_path / "file", NETWORK, IMAGES, 1, **limits)

    return ask


def test_the_answers_have_the_order_of_the_images_across_batches(ask) -> None:
    answers = ask(f"return 'toy 1', {FIRST_PIXELS}")
    assert answers.runtime == "toy 1"
    assert np.array_equal(answers.probabilities, IMAGES.reshape(len(IMAGES), -1)[:, :3])


def test_progress_is_reported_in_images(ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.exports.answers.REPORT_EVERY_S", 0.0)
    reported: list[int] = []
    ask(f"return 'toy 1', {FIRST_PIXELS}", report=reported.append)
    assert reported == sorted(reported)
    assert reported[-1] == len(IMAGES)


def test_the_process_of_a_cancelled_export_is_ended(ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise SupersededError("cancelled")

    monkeypatch.setattr("shared.exports.answers.REPORT_EVERY_S", 0.0)
    slow = "lambda images: __import__('time').sleep(60 * (images.shape[0] < 500)) or images.reshape(-1, 64)[:, :3]"
    with pytest.raises(SupersededError):
        ask(f"return 'toy 1', {slow}", report=refuse)


def test_onnxruntime_answers_alone(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(write_onnx(NETWORK, random_weights(NETWORK, 0)))
    answers = ask_runtime(NEUTRAL_EXPORTERS["onnx"], file, NETWORK, IMAGES, threads=1)
    assert answers.runtime.startswith("onnxruntime ")
    assert answers.probabilities.sum(1) == pytest.approx(np.ones(len(IMAGES)), abs=1e-5)


@pytest.mark.parametrize("module", ["shared", "services", "sqlite3"])
def test_a_runtime_can_import_neither_tandem_nor_what_is_forbidden(ask, module: str) -> None:
    with pytest.raises(RejectedExportError, match=module):
        ask(f"import {module}; return 'toy', {FIRST_PIXELS}")


def test_what_a_runtime_prints_is_no_answer(ask) -> None:
    assert ask(f"print('hello'); return 'toy', {FIRST_PIXELS}").runtime == "toy"


def test_too_few_answers_are_rejected(ask) -> None:
    with pytest.raises(RejectedExportError, match="1,201 numbers instead of 3,603"):
        ask("return 'toy', lambda images: images.reshape(len(images), -1)[:, :1]")


def test_a_process_that_dies_is_named_with_its_last_line(ask) -> None:
    with pytest.raises(RejectedExportError, match=r"status 1 \(ValueError: not my file\)"):
        ask("raise ValueError('not my file')")


def test_a_process_that_takes_too_long_is_ended(ask) -> None:
    with pytest.raises(UnavailableError, match=r"within 0\.5 s"):
        ask("import signal; signal.pause()", timeout_s=0.5)


def test_a_process_that_allocates_too_much_fails(ask) -> None:
    with pytest.raises(RejectedExportError, match="MemoryError"):
        ask("bytearray(2**30)", memory_bytes=2**29)
