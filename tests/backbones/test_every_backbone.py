"""What holds for every backbone: how large its sizes are, memory layouts, half precision."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backbones import Backbone, Features
from benchmark.registry import Registry

REGISTRY = Registry()
NAMES = REGISTRY.names("backbone")
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NAMES),
    ("dncnn", {"norm": "none"}),
    ("gunet", {"norm": "layer"}),
    ("restormer_lite", {"norm": "bias_free"}),
    ("timm_unet", {"encoder": "test_resnet"}),
    ("timm_unet", {"encoder": "test_mambaout"}),
    ("unet", {"norm": "batch", "up": "bilinear", "down": "conv"}),
]
"""Every backbone in its tiny size, and options that bring other layers into it."""
ENDS_CONTIGUOUS = {"hinet", "restormer_lite", "swinir"}
"""The last layer of these has an output layout of its own."""
HALF_PRECISION_ERROR = {"hinet": 0.05}
"""Of the features, as a share; 0.03 for all others."""


def tiny(name: str, **options: Any) -> Backbone:
    torch.manual_seed(0)
    component = REGISTRY.find("backbone", name)
    return component(**{**component.sizes["tiny"], **options})


def outputs(features: Tensor | Features) -> list[Tensor]:
    return [features] if isinstance(features, Tensor) else [features.tensor, *features.auxiliary]


@pytest.mark.parametrize("name", NAMES)
def test_the_small_size_fits_ten_megabytes(name: str, weight_bytes: Callable[[nn.Module], int]) -> None:
    """The size made for the size gate stays under 10,000,000 bytes with room for the file's header."""
    component = REGISTRY.find("backbone", name)
    backbone = component(**component.sizes["small"])
    assert weight_bytes(backbone) + 128 * len(backbone.state_dict()) < 10_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_tiny_size_is_tiny(name: str) -> None:
    """10 to 80 thousand parameters; patches of 64 px need no padding."""
    backbone = tiny(name)
    assert 10_000 <= sum(parameter.numel() for parameter in backbone.parameters()) <= 80_000
    assert backbone.min_side <= 64 and 64 % backbone.multiple_of == 0


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
def test_the_memory_layout_does_not_matter(
    name: str, options: dict[str, Any], randomise: Callable[[nn.Module], None]
) -> None:
    """Channels last gives the features of the default layout, and keeps it to the end."""
    backbone = tiny(name, **options).eval()
    randomise(backbone)
    image = torch.rand(2, 3, 64, 128)
    expected = backbone(image)
    features = backbone.to(memory_format=torch.channels_last)(image.to(memory_format=torch.channels_last))
    assert name in ENDS_CONTIGUOUS or features.is_contiguous(memory_format=torch.channels_last)
    assert (features - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
def test_autocast_trains_every_parameter(
    name: str, options: dict[str, Any], randomise: Callable[[nn.Module], None]
) -> None:
    """Under bfloat16 autocast every gradient is there and finite, and the features are near those in float32."""
    backbone = tiny(name, **options).train()
    randomise(backbone)
    image = torch.rand(2, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = outputs(backbone(image))
    sum((part.float().square().mean() for part in half), start=torch.zeros(())).backward()
    exact = outputs(backbone(image))
    error = (half[0].float() - exact[0]).norm() / exact[0].norm()
    assert error < HALF_PRECISION_ERROR.get(name, 0.03)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())
