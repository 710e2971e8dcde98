"""torchvision, also where it was built for CUDA beside a CPU build of torch.

There its compiled operators do not load, and its import stops at two that are
missing. Tandem reads data with it and calls neither: declaring them suffices.
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
