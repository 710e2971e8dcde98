"""The formats of exports that only PyTorch has.

Its twin is services/tensorflow/exports.py. Each function takes a published
model and returns the contents of a file. The file takes images, uint8
[N, H, W, C], and returns probabilities, float32 [N, classes].
"""

import io
from pathlib import Path

import torch
from torch import nn

from services.pytorch import backend
from shared.exports.exporters import Exporter, Exporters
from shared.models.registry import VerifiedModel

RUNTIMES = Path(__file__).parent / "runtimes"


def write_pt2(model: VerifiedModel) -> bytes:
    """Return a file for `torch.export.load`. Nothing in it is pickled."""
    network = model.manifest.network
    built = backend.define_network(network, model.weights)
    # The file is for any machine: on the CPU, and in PyTorch's own order.
    built.to("cpu", memory_format=torch.contiguous_format)
    # Twin: a program has no named inputs; its argument is the images.
    predictor = nn.Sequential(built, nn.Softmax(1)).eval()
    example = torch.zeros((2, *network.input_shape), dtype=torch.uint8)
    count = torch.export.Dim("N", min=1)
    program = torch.export.export(
        predictor, (example,), dynamic_shapes=({0: count},)
    )
    # By default the file would have the example, which is pickled, and the
    # lines of our code that made each operation, with the paths of modules.
    program.example_inputs = None
    for module in program.graph_module.modules():
        for node in module.graph.nodes:
            for origin in ("stack_trace", "nn_module_stack", "torch_fn"):
                node.meta.pop(origin, None)
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


EXPORTERS: Exporters = {
    "pt2": Exporter(
        write_pt2, RUNTIMES / "pt2.py", forbidden=("keras", "tensorflow")
    ),
}
