"""KBNet: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
from torch import nn

from backbones import _kernel_basis
from backbones._kernel_basis import KernelBasis
from backbones.kbnet import KBNet
from benchmark.model import build
from benchmark.model.restorer import fold

SMALL = {"width": 4, "depths": (1, 1, 1), "bases": 3}


def at_every_pixel(basis, features, coefficients):
    """Kernel basis attention by its definition: the kernel of each pixel, then its product with what lies around."""
    batch, channels, height, width = features.shape
    group = basis.group
    kernels = basis.kernels.view(-1, channels, group, 3, 3)
    beyond = nn.functional.pad(features, (1, 1, 1, 1))
    result = torch.empty_like(features)
    for row in range(height):
        for column in range(width):
            mixture = coefficients[:, :, row, column]
            around = beyond[:, :, row : row + 3, column : column + 3].reshape(batch, channels // group, group, 3, 3)
            kernel = torch.einsum("bs,socij->bocij", mixture, kernels)
            kernel = kernel.view(batch, channels // group, group, group, 3, 3)
            seen = torch.einsum("bgocij,bgcij->bgo", kernel, around).reshape(batch, channels)
            result[:, :, row, column] = seen + mixture @ basis.biases[0]
    return result


@pytest.fixture
def backbone(randomise):
    """Return a small network whose every weight is away from its initial value."""
    torch.manual_seed(0)
    network = KBNet(**SMALL)
    randomise(network)
    return network


def test_kbnet_gives_the_authors_output(load_golden, with_published_weights):
    """With the authors' weights from a file, the restorer gives the authors' output."""
    golden = load_golden("kbnet_s_w8_light")
    restore = with_published_weights("kbnet", {"width": 8, "depths": (1, 1, 1, 1, 1)}, golden)
    torch.testing.assert_close(restore(golden.tensors["input"]), golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("strip_pixels", [1, 25, 10_000])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("group", [2, 4])
def test_kernel_basis_equals_its_definition(monkeypatch, strip_pixels, training, group):
    """In strips of one row, of several or in one piece: each pixel's own kernel and bias, in both directions."""
    monkeypatch.setattr(_kernel_basis, "STRIP_PIXELS_CPU", strip_pixels)
    torch.manual_seed(0)
    basis = KernelBasis(8, 5, group).double().train(training)
    features = torch.randn(2, 8, 7, 5, dtype=torch.float64, requires_grad=True)
    coefficients = torch.randn(2, 5, 7, 5, dtype=torch.float64, requires_grad=True)
    inputs, cotangent = (features, coefficients, *basis.parameters()), torch.randn(2, 8, 7, 5, dtype=torch.float64)
    given, expected = basis(features, coefficients), at_every_pixel(basis, features, coefficients)
    torch.testing.assert_close(given, expected)
    gradients = [torch.autograd.grad((result * cotangent).sum(), inputs) for result in (given, expected)]
    torch.testing.assert_close(*gradients)


def test_kbnet_keeps_no_kernels_of_pixels_for_the_backward_pass():
    """In training less is kept per pixel than a tenth of its kernels, which are 36 numbers per channel."""
    basis, side = KernelBasis(16, 32, 4).train(), 64
    features, coefficients = (torch.rand(1, count, side, side, requires_grad=True) for count in (16, 32))
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        basis(features, coefficients)
    assert 0 < sum(kept.values()) < 4 * 16 * 36 * side * side / 4


def test_kbnet_block_equals_its_equations(backbone):
    """Three branches multiplied, then the gated half, both added with their scales, written out afresh."""
    block, features = backbone.stages[1][0], torch.rand(2, 8, 6, 10)

    def norm(layer, values):
        centred = values - values.mean(1, keepdim=True)
        normed = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return normed * layer.weight.view(1, -1, 1, 1) + layer.bias.view(1, -1, 1, 1)

    normed = norm(block.spatial_norm, features)
    gated = block.coefficient_spatial(normed)
    gated = block.coefficient_expand(gated[:, :4] * gated[:, 4:])
    coefficients = gated * block.coefficient_scale + block.coefficient_direct(normed)
    expanded = block.expand(normed)
    based = at_every_pixel(block.basis, expanded, coefficients) * block.basis_scale + expanded
    attention = block.attention(normed.mean((2, 3), keepdim=True))
    halfway = features + block.beta * block.spatial_project(based * block.local(normed) * attention)
    hidden = block.channel_expand(norm(block.channel_norm, halfway))
    expected = halfway + block.gamma * block.channel_project(hidden[:, :6] * hidden[:, 6:])
    torch.testing.assert_close(block(features), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs"),
    [
        pytest.param("sidd", 128.403, 106.42, marks=pytest.mark.slow),
        pytest.param("gaussian", 141.967, 117.30, marks=pytest.mark.slow),
        ("small", 1.075, 6.47),
    ],
)
def test_kbnet_has_the_published_cost(count_macs, size, mega_parameters, giga_macs):
    """Parameters and MACs, output convolution included, are those of the authors' code.

    There the pixels' kernels meet the features in a matrix product, here in a product and a sum, which do not count:
    36 per channel and pixel.
    """
    with torch.device("meta"):
        backbone = KBNet(**KBNet.sizes[size])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1))
    levels = len(backbone.downs)
    uncounted = sum(
        36 * len(stage) * backbone.out_channels * 256**2 >> min(index, 2 * levels - index)
        for index, stage in enumerate(backbone.stages)
    )
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round((count_macs(network, 256) + uncounted) / 1e9, 2) == giga_macs


@pytest.mark.parametrize(
    "change",
    [{"width": 8}, {"depths": (1, 2, 1)}, {"bases": 4}, {"local": "grouped"}, {"channel_expansion": 2.0}],
    ids=str,
)
def test_every_kbnet_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(KBNet(**SMALL), KBNet(**{**SMALL, **change}))


@pytest.mark.parametrize("local", ["depthwise", "grouped"])
def test_folded_kbnet_gives_the_same_image_with_fewer_weights(randomise, local):
    """All scales and the second norms go into the weights beside them; folding twice changes nothing more."""
    network = build({"backbone": {"name": "kbnet", **SMALL, "local": local}, "head": {"name": "rgb"}}).eval()
    randomise(network)
    image, before = torch.rand(1, 3, 21, 30), {key: value.clone() for key, value in network.state_dict().items()}
    folded = fold(network)
    with torch.no_grad():
        torch.testing.assert_close(folded(image).image, network(image).image, rtol=1e-5, atol=1e-5)
    names = set(network.state_dict()) - set(folded.state_dict())
    leaves = {name.rsplit(".", 1)[1] if "norm" not in name else "channel_norm" for name in names}
    assert leaves == {"beta", "gamma", "basis_scale", "coefficient_scale", "channel_norm"}
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert fold(folded).state_dict().keys() == folded.state_dict().keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 6}, "kbnet: width is 6; a level gets 6 channels, which must be a multiple of 4"),
        ({"width": 12}, "a level gets 48 channels, which must be a multiple of 4, and above 32 of 32"),
        ({"width": 0}, "kbnet: width is 0; it must be above 0"),
        ({"bases": 0}, "bases is 0"),
        ({"depths": (1, 1)}, "odd number"),
        ({"channel_expansion": 1.25, "width": 4}, "channel_expansion is 1.25; times 4 channels it must be even"),
        ({"channel_expansion": 0.1, "width": 4}, "channel_expansion is 0.1; times 4 channels it must be even"),
    ],
)
def test_kbnet_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        KBNet(**options)
