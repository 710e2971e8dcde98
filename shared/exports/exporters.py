"""`Exporter`: how a format's file is written and run, and the exporters that every backend has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.exports.html_page import write_html
from shared.exports.onnx_model import write_onnx
from shared.models.registry import VerifiedModel

FRAMEWORKS = ("keras", "tensorflow", "torch")
RUNTIMES = Path(__file__).parent / "runtimes"


@dataclass(frozen=True)
class Exporter:
    """How files of one format are written and run.

    Attributes:
        write: returns the contents of the file for a model. The same model should give the same bytes.
        runtime: a script that runs such a file, see `shared/exports/runner.py`.
        forbidden: modules that the script's process cannot import, besides Tandem's own.
    """

    write: Callable[[VerifiedModel], bytes]
    runtime: Path
    forbidden: tuple[str, ...] = FRAMEWORKS


Exporters = Mapping[str, Exporter]
"""Name of a format -> its exporter."""

NEUTRAL_EXPORTERS: Exporters = {
    "onnx": Exporter(lambda model: write_onnx(model.manifest.network, model.weights), RUNTIMES / "onnx.py"),
    "html": Exporter(lambda model: write_html(model.manifest, model.weights), RUNTIMES / "html.py"),
}
"""The exporters that need no framework."""
