"""The bilateral grid: its look-up in closed form, what it can restore, its cost, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones.bilateral_grid import BilateralGrid, apply_affine
from benchmark.model import build

SMALL = {"width": 2, "low_width": 4, "depth": 1, "bins": 4, "cell": 8, "shrink": 2}


def luminance_step(low, high, side=32):
    """Return a grey image, dark on the left and bright on the right."""
    image = torch.full((1, 3, side, side), low)
    image[..., side // 2 :] = high
    return image


def test_the_look_up_is_trilinear():
    """It equals torch's sampler of volumes, whose border repeats the outermost cells, at guides beyond 0 and 1 too."""
    backbone = BilateralGrid(**SMALL)
    grid = torch.rand(2, 4 * 3, 3, 5)
    guide = 1.4 * torch.rand(2, 1, 24, 40) - 0.2
    volume = grid.unflatten(1, (4, 3)).transpose(1, 2)  # B C bins rows columns
    rows, columns = ((torch.arange(side) + 0.5) * 2 / side - 1 for side in (24, 40))
    places = torch.stack(torch.broadcast_tensors(columns[None, None], rows[:, None], 2 * guide[:, 0] - 1), dim=-1)
    expected = F.grid_sample(volume, places[:, None], padding_mode="border", align_corners=False)[:, :, 0]
    torch.testing.assert_close(backbone.look_up(grid, guide), expected, rtol=1e-5, atol=1e-5)


def test_a_plane_over_place_and_guide_is_looked_up_exactly():
    """A grid that holds a linear function of place and brightness gives that function, between the outermost cells."""
    backbone = BilateralGrid(**SMALL)
    bins, rows, columns = ((torch.arange(count) + 0.5) / count for count in (4, 6, 6))
    plane = 2 * bins[:, None, None] + 3 * rows[:, None] - columns
    guide = 0.2 + 0.6 * torch.rand(1, 1, 48, 48)
    pixels = (torch.arange(48) + 0.5) / 48
    expected = 2 * guide + 3 * pixels[:, None] - pixels
    inner = slice(4, -4)
    looked_up = backbone.look_up(plane[None], guide)
    torch.testing.assert_close(looked_up[..., inner, inner], expected[..., inner, inner], rtol=1e-5, atol=1e-5)


def test_affine_functions_equal_their_matrix_product():
    """Each feature is a row of four factors times (red, green, blue, 1)."""
    coefficients, image = torch.rand(2, 4 * 5, 3, 6), torch.rand(2, 3, 3, 6)
    extended = torch.cat((image, torch.ones(2, 1, 3, 6)), dim=1)
    expected = torch.einsum("btchw,bthw->bchw", coefficients.unflatten(1, (4, 5)), extended)
    torch.testing.assert_close(apply_affine(coefficients, image), expected)


def test_the_guide_starts_as_the_mean_of_the_colours():
    """The first piece of every curve is the identity, the others have no share yet."""
    image = torch.rand(2, 3, 5, 7)
    torch.testing.assert_close(BilateralGrid(**SMALL).guide(image), image.mean(1, keepdim=True))


def test_dark_and_bright_sides_of_an_edge_get_different_gains():
    """A grid of one constant per bin gives each side its own, up to the very edge."""
    backbone = BilateralGrid(**SMALL)
    nn.init.zeros_(backbone.grid.weight)
    constants = torch.zeros(4, 4, 2)  # bins, terms, functions
    constants[0, 3], constants[3, 3] = 1.0, 5.0
    backbone.grid.bias.data = constants.flatten()
    with torch.no_grad():
        features = backbone(luminance_step(0.05, 0.95))
    assert torch.equal(features[..., :16], torch.full((1, 2, 32, 16), 1.0))
    assert torch.equal(features[..., 16:], torch.full((1, 2, 32, 16), 5.0))


def test_a_global_gain_is_restored_exactly():
    """With a constant grid and head degradation, the network multiplies the image by one gain: J = K*I + I."""
    model = {"backbone": {"name": "bilateral_grid", **SMALL}, "head": {"name": "degradation", "kernel_size": 1}}
    network = build(model).eval()
    nn.init.zeros_(network.backbone.grid.weight)
    constants = torch.zeros(4, 4, 2)
    constants[:, 3, 0] = 1.0
    network.backbone.grid.bias.data = constants.flatten()
    network.head.conv.weight.data[:3, 0] = 0.25
    image = torch.rand(1, 3, 21, 30)
    with torch.no_grad():
        restoration = network(image)
    torch.testing.assert_close(restoration.image, 1.25 * image)
    torch.testing.assert_close(restoration.maps["gain"], torch.full_like(image, 0.25))


def test_every_cell_sees_the_whole_image(randomise):
    """Through the global features, a change in one corner reaches the opposite one."""
    backbone = BilateralGrid(**SMALL).eval()
    randomise(backbone)
    image = torch.rand(1, 3, 128, 128)
    changed = image.clone()
    changed[..., :16, :16] = 1 - changed[..., :16, :16]
    with torch.no_grad():
        difference = backbone(changed) - backbone(image)
    assert difference[..., -8:, -8:].abs().max() > 1e-7


def test_the_cost_is_that_of_the_small_image_and_the_guide(count_macs):
    """Multiply-adds of the layers, counted by hand; the look-up counts none."""
    with torch.device("meta"):
        backbone = BilateralGrid(**SMALL)
    half, quarter, cells, around = 16**2, 8**2, 8**2, 4**2  # of an image of 64 px, shrunk to 32 px
    entry = 27 * 4 * half + 9 * 4 * 8 * quarter
    low = 2 * 9 * 8 * 8 * cells + 9 * 8 * 8 * around + 2 * 8 * 8 + 8 * 4 * 4 * 2 * cells
    assert count_macs(backbone, 64) == entry + low + (3 * 12 + 12) * 64**2


@pytest.mark.parametrize(
    "change",
    [
        *({"width": 4}, {"low_width": 8}, {"depth": 2}, {"bins": 8}),
        *({"cell": 16}, {"shrink": 4}),
    ],
    ids=str,
)
def test_every_bilateral_grid_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(BilateralGrid(**SMALL), BilateralGrid(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "bilateral_grid: width is 0; it must be above 0"),
        ({"bins": 0}, "bilateral_grid: bins is 0; it must be above 0"),
        ({"shrink": 0}, "bilateral_grid: shrink is 0; it must be above 0"),
        ({"depth": -1}, "bilateral_grid: depth is -1; it must be above 0"),
        ({"cell": 12}, r"cell is 12; it must be shrink \(4\) times 2, 4, 8"),
        ({"cell": 4}, r"cell is 4; it must be shrink \(4\) times 2, 4, 8"),
        ({"cell": 0}, r"cell is 0; it must be shrink \(4\) times 2, 4, 8"),
    ],
)
def test_bilateral_grid_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        BilateralGrid(**options)
