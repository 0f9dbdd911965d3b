"""A Restorer as what others run: one image in, one image out."""

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark.model import Restorer

Dtype = Literal["float32", "float16", "bfloat16"]
TORCH_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class ImageNetwork(nn.Module):
    """The restored image alone, without maps, clamped to [0, 1]; ready for inference.

    Holds a copy of the restorer, in eval mode and without gradients, with weights and features in `dtype`.
    """

    def __init__(self, restorer: Restorer, dtype: Dtype = "float32") -> None:
        super().__init__()
        self.dtype = TORCH_DTYPES[dtype]
        self.restorer = copy.deepcopy(restorer).requires_grad_(False).to(self.dtype)
        self.eval()

    def forward(self, degraded: Tensor) -> Tensor:
        """Restored image of a degraded one, both `B 3 H W` float32 in [0, 1]."""
        return self.restorer(degraded.to(self.dtype)).image.float().clamp(0, 1)
