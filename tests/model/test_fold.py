"""Folding: the same images from a network that computes less."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from backbones._folding import affine_before, difference_of_halves, scale_after, split_affine
from backbones._layers import ChannelLayerNorm
from benchmark.model import Restorer, build
from benchmark.model.restorer import fold
from benchmark.registry import Registry

REGISTRY = Registry()
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in REGISTRY.names("backbone")),
    ("gunet", {"norm": "layer", "gate": "hard_sigmoid", "fusion": "concatenation"}),
    ("gunet", {"gate": "none", "fusion": "sum", "padding": "zeros", "kernel_size": 1}),
    ("nafnet", {"block": "baseline"}),
    ("nafnet", {"tlc_train_size": 24}),
    ("kbnet_l", {"bias": True}),
    ("restormer_lite", {"norm": "bias_free"}),
    ("restormer_lite", {"bias": True}),
    ("unet", {"norm": "batch"}),
]
each_variant = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=lambda value: str(value or "tiny"))


def network(name: str, options: dict[str, Any], size: str = "tiny", head: str = "degradation") -> Restorer:
    """A network, in training mode, whose every weight and running statistic is away from its initial value."""
    sizes = REGISTRY.find("backbone", name).sizes
    net = build({"backbone": {"name": name, **sizes[size], **options}, "head": {"name": head}})
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return net


def outputs(net: Restorer, image: Tensor) -> list[Tensor]:
    """The restored image and all maps."""
    with torch.no_grad():
        restoration = net(image)
    return [restoration.image, *restoration.maps.values()]


def largest_error(net: Restorer, expected: list[Tensor], image: Tensor) -> float:
    """Largest difference, in units of the largest magnitude of that output."""
    pairs = zip(outputs(net, image), expected, strict=True)
    return max(((given - right).abs().max() / right.abs().max()).item() for given, right in pairs)


@each_variant
def test_a_folded_network_gives_the_same_images(name: str, options: dict[str, Any]) -> None:
    """Image and maps differ by rounding alone: in both memory layouts, for even and odd sides, after training mode."""
    net, generator = network(name, options), torch.Generator().manual_seed(1)
    images = [torch.rand(2, 3, *sides, generator=generator) for sides in ((64, 64), (61, 83))]
    unfolded = copy.deepcopy(net).eval()
    expected = [outputs(unfolded, image) for image in images]
    for layout in (torch.contiguous_format, torch.channels_last):
        folded = fold(net.to(memory_format=layout))
        for image, right in zip(images, expected, strict=True):
            assert largest_error(folded, right, image.to(memory_format=layout)) < 1e-5, (layout, image.shape)


@each_variant
def test_folding_leaves_the_network_as_it_was(name: str, options: dict[str, Any]) -> None:
    """Weights, buffers, mode and gradients of the original are untouched, also when the folded one is overwritten."""
    net = network(name, options)
    before = copy.deepcopy(net.state_dict())
    folded = fold(net)
    for tensor in folded.state_dict().values():
        tensor.zero_()
    after = net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())


@each_variant
def test_a_folded_network_is_a_network(name: str, options: dict[str, Any]) -> None:
    """It is in eval mode, wants no gradients, can be copied, saved and filled, and folded again."""
    folded = fold(network(name, options))
    assert not any(module.training for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    image = torch.rand(1, 3, 64, 64)
    expected = outputs(folded, image)
    twice = fold(folded)
    twice.load_state_dict(copy.deepcopy(folded).state_dict())
    assert largest_error(twice, expected, image) == 0


@pytest.mark.slow
@each_variant
def test_a_folded_network_exports(name: str, options: dict[str, Any]) -> None:
    """torch.export takes it, and the program gives the same images."""
    folded = fold(network(name, options))
    image = torch.rand(1, 3, 64, 64)
    program = torch.export.export(folded, (image,)).module()
    torch.testing.assert_close(program(image).image, folded(image).image)


@pytest.mark.parametrize(
    ("size", "norms", "row_differences"), [("t", 2_880, 1_536), ("s", 5_760, 1_536), ("b", 11_520, 1_536)]
)
def test_gunet_folds_to_the_known_size(size: str, norms: int, row_differences: int) -> None:
    """What goes are two weights for each normalised channel, and half of the selective kernels' rows."""
    net = network("gunet", {}, size, "residual")
    folded = fold(net)
    gone = parameters(net) - parameters(folded)
    gone_from_fusions = parameters(net.backbone.fusions) - parameters(folded.backbone.fusions)
    assert (gone - gone_from_fusions, gone_from_fusions) == (norms, row_differences)
    assert {"t": 840_483, "s": 1_469_763, "b": 2_728_323}[size] == parameters(folded)


def test_nafnet_folds_norms_and_scales_away() -> None:
    """Every block loses scale and shift of two norms, beta and gamma: six weights a channel."""
    net = network("nafnet", {})
    channels = [block.beta.numel() for stage in net.backbone.stages for block in stage]
    assert parameters(net) - parameters(fold(net)) == 6 * sum(channels)


def test_restormer_folds_a_product_away() -> None:
    """The product of attention weights and values is gone, and the weights of bias-free norms are."""
    net = network("restormer_lite", {"norm": "bias_free"}, "small")
    folded = fold(net)
    blocks = [module for module in net.modules() if hasattr(module, "attention_norm")]
    assert parameters(net) - parameters(folded) == 2 * sum(block.attention_norm.weight.numel() for block in blocks)
    assert macs(folded) < 0.97 * macs(net.eval())


def norm_with_weights(kind: str) -> nn.Module:
    norm = nn.BatchNorm2d(3, eps=0.1) if kind == "batch" else ChannelLayerNorm(3, eps=0.1)
    for tensor in norm.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2)
    return norm.eval()


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_a_norm_splits_into_one_without_weights_and_an_affine_map(kind: str) -> None:
    """Scale and shift after the bare norm give what the norm gives; what is left is not split again."""
    norm, features = norm_with_weights(kind), torch.randn(2, 3, 5, 7)
    bare, scale, shift = split_affine(norm)
    torch.testing.assert_close(bare(features) * scale.view(-1, 1, 1) + shift.view(-1, 1, 1), norm(features))
    assert not getattr(bare, "affine", False)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(3, affine=False), nn.GroupNorm(1, 3), nn.Identity()], ids=str)
def test_other_norms_are_not_split(norm: nn.Module) -> None:
    """Norms without weights, or of another kind, are refused by name."""
    with pytest.raises(TypeError, match=f"no scale and shift can be taken out of {type(norm).__name__}"):
        split_affine(norm)


def test_a_shift_is_kept_out_of_padded_convolutions() -> None:
    """Zeros beyond the border are not shifted, so only 1x1 convolutions take what comes before them."""
    for conv in (nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1, groups=2), nn.ReLU()):
        with pytest.raises(ValueError, match="1x1 convolution without groups"):
            affine_before(conv, torch.ones(4), torch.ones(4))


@pytest.mark.parametrize("bias", [True, False])
def test_steps_fold_into_convolutions(bias: bool) -> None:
    """Scale and shift before, scale after, and the difference of halves equal the steps one by one."""
    conv, features = nn.Conv2d(4, 6, 1, bias=bias), torch.rand(2, 4, 5, 7)
    before, shift, after = (1 + torch.rand(size) for size in (4, 4, 6))
    moved = features * before.view(-1, 1, 1) + shift.view(-1, 1, 1)
    torch.testing.assert_close(affine_before(conv, before, shift)(features), conv(moved))
    torch.testing.assert_close(scale_after(conv, after)(features), conv(features) * after.view(-1, 1, 1))
    if not bias:
        first, second = conv(features).chunk(2, dim=1)
        torch.testing.assert_close(difference_of_halves(conv)(features), first - second)


def test_half_precision_folds_in_single() -> None:
    """A convolution in bfloat16 is rounded once, after the last step, and stays bfloat16."""
    conv = nn.Conv2d(64, 64, 1).bfloat16()
    scale, shift = (1 + torch.rand(64) for _ in range(2))
    folded = affine_before(conv, scale, shift)
    exact = affine_before(conv.float(), scale, shift)
    assert folded.weight.dtype == torch.bfloat16
    assert torch.equal(folded.weight, exact.weight.bfloat16())
    assert folded.bias is not None and exact.bias is not None
    assert torch.equal(folded.bias, exact.bias.bfloat16())


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def macs(net: Restorer) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.rand(1, 3, 64, 64))
    return counter.get_total_flops() // 2
