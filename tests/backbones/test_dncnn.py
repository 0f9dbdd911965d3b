"""DnCNN: equal to the authors' code, to its published cost, and its normalisation folds away exactly."""

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from backbones._layers import ConvNorm
from backbones.dncnn import DnCNN

SMALL = {"width": 8, "depth": 4}


def output_convolution(backbone):
    """Return the last convolution of the published network."""
    return nn.Conv2d(backbone.out_channels, 3, 3, padding=1)


def draw_statistics(network):
    """Draw running statistics as after training: means off zero, variances off one."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.2, 3.0, generator=generator)


def fold(network):
    """Replace every `ConvNorm` of a network by its folded convolution."""
    for name, module in list(network.named_modules()):
        if isinstance(module, ConvNorm):
            network.set_submodule(name, module.folded())


def test_dncnn_gives_the_authors_output(load_golden, with_published_weights):
    """With the authors' weights from a file, the restorer, which adds, gives the authors' output, who subtract."""
    golden = load_golden("dncnn_c16_nb5_BR")
    restore = with_published_weights("dncnn", {"width": 16, "depth": 5}, golden)
    torch.testing.assert_close(restore(golden.tensors["input"]), golden.tensors["output"], rtol=1e-5, atol=5e-5)


def test_dncnn_takes_the_released_form(load_golden, with_published_weights):
    """The authors release networks whose normalisation is in the convolutions: these give the same output, too."""
    golden = load_golden("dncnn_c16_nb5_BR")
    merged = {key: golden.weights[key] for key in golden.weights if re.match(r"model\.(0|11)\.", key)}
    merged = {key.replace("11", "8"): value for key, value in merged.items()}
    for layer, number in enumerate((2, 5, 8), start=1):
        gamma, beta, mean, variance = (
            golden.weights[f"model.{number + 1}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / (variance + 1e-4).sqrt()
        merged[f"model.{2 * layer}.weight"] = golden.weights[f"model.{number}.weight"] * scale[:, None, None, None]
        merged[f"model.{2 * layer}.bias"] = (golden.weights[f"model.{number}.bias"] - mean) * scale + beta
    restore = with_published_weights(
        "dncnn", {"width": 16, "depth": 5, "norm": "none"}, replace(golden, weights=merged)
    )
    torch.testing.assert_close(restore(golden.tensors["input"]), golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs"), [("dncnn_s", 0.559, 36.47), ("cdncnn_b", 0.668, 43.71)]
)
def test_dncnn_published_sizes_have_the_published_cost(count_macs, size, mega_parameters, giga_macs):
    """Parameters and MACs of the published sizes, output convolution included, are those of the authors' code."""
    with torch.device("meta"):
        backbone = DnCNN(**DnCNN.sizes[size])
        network = nn.Sequential(backbone, output_convolution(backbone))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round(count_macs(network, 256) / 1e9, 2) == giga_macs


@pytest.mark.parametrize("change", [{"width": 16}, {"depth": 5}, {"norm": "none"}], ids=str)
def test_every_dncnn_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(DnCNN(**SMALL), DnCNN(**{**SMALL, **change}))


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_dncnn_normalises_all_but_the_first_convolution(norm):
    """A network of depth d has d - 1 convolutions before the head, and with batch norm d - 2 normalisations."""
    modules = list(DnCNN(**SMALL, norm=norm).modules())
    assert sum(isinstance(module, nn.Conv2d) for module in modules) == 3
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == (2 if norm == "batch" else 0)
    assert all((module.eps, module.momentum) == (1e-4, 0.9) for module in norms)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.booleans(), st.sampled_from([1e-5, 1e-4, 1e-2]))
def test_a_folded_convolution_computes_the_same(inputs, outputs, bias, eps):
    """Convolution and normalisation with any statistics equal one convolution, at the border, too."""
    torch.manual_seed(inputs * 7 + outputs)
    norm = nn.BatchNorm2d(outputs, eps)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    module = ConvNorm(nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), norm)
    draw_statistics(module)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    folded = module.folded()
    features = torch.randn(2, inputs, 6, 7)
    assert module.training, "folding left the module as it was"
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    expected = module.eval()(features)
    assert (folded(features) - expected).norm() < 1e-5 * expected.norm()


def test_folded_dncnn_is_the_released_form(randomise):
    """Folding every layer leaves the names and the function of the network without normalisation."""
    backbone = DnCNN(**DnCNN.sizes["tiny"]).eval()
    randomise(backbone)
    draw_statistics(backbone)
    image = torch.rand(1, 3, 24, 17)
    expected = backbone(image)
    fold(backbone)
    released = DnCNN(**{**DnCNN.sizes["tiny"], "norm": "none"}).eval()
    released.load_state_dict(backbone.state_dict(), strict=True)
    assert (released(image) - expected).norm() < 1e-5 * expected.norm()


def test_untrained_dncnn_sees_the_image_at_any_depth():
    """Without normalisation too the last features vary with the image as much as the first, within a factor of ten."""
    torch.manual_seed(0)
    backbone = DnCNN(**DnCNN.sizes["cdncnn_b"])
    image = torch.rand(2, 3, 24, 24)
    with torch.no_grad():
        first = backbone.layers[0](image).diff(dim=0).std()
        last = backbone(image).diff(dim=0).std()
    assert 0.1 < last / first < 10


def test_dncnn_min_side_is_the_smallest():
    """One below min_side, training has no batch statistics."""
    backbone = DnCNN(**SMALL)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        backbone(torch.zeros(1, 3, backbone.min_side - 1, backbone.min_side - 1))


def test_dncnn_does_not_change_its_input():
    """The image is as it was: only what the network itself made is overwritten."""
    image = torch.rand(1, 3, 8, 8)
    before = image.clone()
    DnCNN(**SMALL)(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "dncnn: width is 0; it must be above 0"),
        ({"depth": 1}, "dncnn: depth is 1; it must be at least 2"),
    ],
)
def test_dncnn_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        DnCNN(**options)
