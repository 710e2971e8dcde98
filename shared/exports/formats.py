"""The formats of exports: what each is, which backends have it, and how it is judged. This module does no I/O.

A new format needs an entry here, and an `Exporter`: in `shared/exports/exporters.py` if every backend has the format,
or in `services/<backend>/exports.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExportFormat:
    """A format.

    Attributes:
        description: one sentence for people who choose a format.
        suffix: of the file's name.
        media_type: of the file, for `Content-Type`.
        backends: the backends that have the format; empty if every backend has it.
        is_exact: whether the file must predict the same class as the model for every picture, and probabilities within
            `MAX_DIFFERENCE`. Otherwise the export only reports how far it differs.
    """

    description: str
    suffix: str
    media_type: str = "application/octet-stream"
    backends: tuple[str, ...] = ()
    is_exact: bool = True


MAX_DIFFERENCE = 1e-5
"""The largest difference of any probability between a model and an exact export of it."""

FORMATS = {
    "onnx": ExportFormat("for onnxruntime and many other programs", ".onnx"),
    "html": ExportFormat("one page for any browser, which works without a network", ".html", "text/html"),
    "savedmodel": ExportFormat(
        "TensorFlow's own format, a folder in a zip file", ".savedmodel.zip", "application/zip", ("tensorflow",)
    ),
    "litert": ExportFormat("for phones: LiteRT, formerly TensorFlow Lite", ".tflite", backends=("tensorflow",)),
    "litert-int8": ExportFormat(
        "for phones, with weights of 8 bits: a smaller file with almost the same predictions",
        ".int8.tflite",
        backends=("tensorflow",),
        is_exact=False,
    ),
    "pt2": ExportFormat("PyTorch's own format, for torch.export.load", ".pt2", backends=("pytorch",)),
}


def list_formats(backend: str) -> list[str]:
    """Return the names of the formats that a backend has."""
    return [name for name, each in FORMATS.items() if not each.backends or backend in each.backends]
