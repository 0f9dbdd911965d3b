"""KBNet's large form: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
from torch import nn

from backbones.kbnet_l import KBNetL
from benchmark.model import build
from benchmark.model.restorer import fold

SMALL = {"width": 4, "depths": (1, 1), "refinement": 1, "heads": (1, 2), "bases": 3}


def test_kbnet_l_gives_the_authors_output(load_golden, with_published_weights):
    """With the authors' weights from a file, the restorer gives the authors' output."""
    golden = load_golden("kbnet_l_d6_bias")
    layout = {"width": 6, "depths": (1, 2, 1, 1), "refinement": 1, "heads": (1, 1, 2, 3)}
    restore = with_published_weights("kbnet_l", {**layout, "expansion": 1.34, "bias": True}, golden)
    torch.testing.assert_close(restore(golden.tensors["input"]), golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs"),
    [pytest.param("kbnet_l", 29.568, 210.20, marks=pytest.mark.slow), ("small", 1.104, 9.30)],
)
def test_kbnet_l_has_the_published_cost(count_macs, size, mega_parameters, giga_macs):
    """Parameters and MACs, output convolution included, are those of the authors' code.

    There the pixels' kernels meet the features in a matrix product, here in a product and a sum, which do not count:
    18 per channel and pixel.
    """
    with torch.device("meta"):
        backbone = KBNetL(**KBNetL.sizes[size])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1, bias=False))
    stages = [*enumerate([*backbone.encoder, backbone.latent]), *enumerate(backbone.decoder), (0, backbone.refinement)]
    uncounted = sum(
        18 * block.kernels.basis.biases.shape[2] * 256**2 >> 2 * level for level, stage in stages for block in stage
    )
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round((count_macs(network, 256) + uncounted) / 1e9, 2) == giga_macs


@pytest.mark.parametrize(
    "change",
    [
        *({"width": 8}, {"depths": (1, 2)}, {"refinement": 0}, {"heads": (2, 2)}),
        *({"bases": 4}, {"expansion": 2.0}, {"bias": True}),
    ],
    ids=str,
)
def test_every_kbnet_l_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(KBNetL(**SMALL), KBNetL(**{**SMALL, **change}))


def test_folded_kbnet_l_gives_the_same_image_without_scales(randomise):
    """The scales of coefficients and kernels go into the weights beside them; folding twice changes nothing more."""
    network = build({"backbone": {"name": "kbnet_l", **SMALL}, "head": {"name": "rgb"}}).eval()
    randomise(network)
    image = torch.rand(1, 3, 21, 30)
    folded = fold(network)
    with torch.no_grad():
        torch.testing.assert_close(folded(image).image, network(image).image, rtol=1e-5, atol=1e-5)
    gone = {name.rsplit(".", 1)[1] for name in set(network.state_dict()) - set(folded.state_dict())}
    assert {"coefficient_scale", "basis_scale"} <= gone
    assert fold(folded).state_dict().keys() == folded.state_dict().keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 7}, "kbnet_l: width is 7; it must be even"),
        (
            {"width": 10, "expansion": 2.0},
            "kbnet_l: width is 10; a level gets 40 channels, which above 24 must be a multiple of 24",
        ),
        ({"heads": (1, 2)}, "depths has 4 levels, so must heads"),
        ({"refinement": -1}, "refinement is -1; it must be at least 0"),
        ({"bases": 0}, "bases is 0; it must be above 0"),
        ({"width": 6, "expansion": 1.25}, "expansion is 1.25; times 6 channels it must be even"),
        ({"width": 6, "expansion": 0.1}, "expansion is 0.1; times 6 channels it must be even"),
    ],
)
def test_kbnet_l_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        KBNetL(**options)
