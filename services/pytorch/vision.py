"""torchvision, also where it was built for CUDA and stands beside a CPU build of torch.

There its compiled operators do not load, and its import stops at two that are
missing. Tandem reads data with it and calls neither: declaring them suffices.
"""

import torch

try:
    import torchvision
except RuntimeError:  # "operator torchvision::nms does not exist"
    _LIBRARY = torch.library.Library("torchvision", "DEF")
    _LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

__all__ = ["torchvision"]
