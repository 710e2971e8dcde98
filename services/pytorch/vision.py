"""Import torchvision, even if it was built for CUDA and torch for the CPU.

With such a pair, torchvision's compiled operators are not loaded, and its
import fails because the operators `nms` and `qnms` are unknown. Tandem reads
datasets with torchvision and never calls these operators. Declaring them is
enough for the import to succeed.
"""

import torch

try:
    import torchvision
except RuntimeError:  # "operator torchvision::nms does not exist"
    _LIBRARY = torch.library.Library("torchvision", "DEF")
    _ARGUMENTS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    _LIBRARY.define("nms" + _ARGUMENTS)
    _LIBRARY.define("qnms" + _ARGUMENTS)
    import torchvision

__all__ = ["torchvision"]
