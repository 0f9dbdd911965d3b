"""NAFNet: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
from torch import nn

from backbones.nafnet import NAFNet

SMALL = {"width": 8, "depths": (1, 1, 1, 1, 1)}


def output_convolution(backbone):
    """Return the last convolution of the published network."""
    return nn.Conv2d(backbone.out_channels, 3, 3, padding=1)


@pytest.mark.parametrize(
    ("case", "options", "suffixes"),
    [
        ("nafnet_w8_e11_m1_d11", SMALL, ("", "_odd")),
        ("nafbaseline_w8_dw2", {**SMALL, "block": "baseline"}, ("",)),
        pytest.param("full/nafnet_gopro_w32", NAFNet.sizes["w32_gopro"], ("",), marks=pytest.mark.slow),
    ],
)
def test_nafnet_gives_the_authors_output(load_golden, with_published_weights, case, options, suffixes):
    """With the authors' weights from a file, the restorer gives the authors' output, at odd sides too."""
    golden = load_golden(case)
    restore = with_published_weights("nafnet", options, golden)
    for suffix in suffixes:
        restored = restore(golden.tensors[f"input{suffix}"])
        torch.testing.assert_close(restored, golden.tensors[f"output{suffix}"], rtol=1e-5, atol=5e-5)


def test_nafnet_local_conversion_gives_the_authors_output(load_golden, with_published_weights):
    """With windows of 1.5 training patches, images larger than those, on one side or both, come out as the authors'."""
    golden = load_golden("nafnet_w8_e11_m1_d11")
    local = with_published_weights("nafnet", {**SMALL, "tlc_train_size": 32}, golden)
    for image, restored in (("input", "tlc_output"), ("tlc_input_2", "tlc_output_2")):
        torch.testing.assert_close(local(golden.tensors[image]), golden.tensors[restored], rtol=1e-5, atol=5e-5)


def test_nafnet_without_local_conversion_pools_the_whole_image(load_golden, with_published_weights):
    """The same image without windows gives the authors' plain output, which is another one."""
    golden = load_golden("nafnet_w8_e11_m1_d11")
    restored = with_published_weights("nafnet", SMALL, golden)(golden.tensors["tlc_input_2"])
    torch.testing.assert_close(restored, golden.tensors["global_output_2"], rtol=1e-5, atol=5e-5)
    assert (restored - golden.tensors["tlc_output_2"]).abs().max() > 0.1


@pytest.mark.parametrize("block", ["naf", "baseline"])
def test_nafnet_local_conversion_is_for_large_images_in_eval_mode(randomise, block):
    """Up to 1.5 patches, and at any size in training, the network is bit for bit the one without it."""
    torch.manual_seed(0)
    plain, local = NAFNet(**SMALL, block=block), NAFNet(**SMALL, block=block, tlc_train_size=32)
    randomise(plain)
    local.load_state_dict(plain.state_dict())
    small, large = torch.rand(1, 3, 48, 48), torch.rand(1, 3, 48, 96)
    with torch.no_grad():
        assert torch.equal(plain(large), local(large))
        assert torch.equal(plain.eval()(small), local.eval()(small))
        assert (plain(large) - local(large)).abs().max() > 1e-4


def test_nafnet_local_conversion_costs_no_multiply_adds_up_to_its_window(count_macs):
    """At 256 px, windows of 384 px are the whole image."""
    with torch.device("meta"):
        plain, local = (NAFNet(**NAFNet.sizes["small"], tlc_train_size=size) for size in (None, 256))
    assert count_macs(local, 256) == count_macs(plain, 256)


@pytest.mark.parametrize(
    ("size", "mega_parameters", "giga_macs"),
    [
        pytest.param("w32_gopro", 17.112, 15.96, marks=pytest.mark.slow),
        ("w32_sidd", 29.160, 16.05),
        pytest.param("w64_gopro", 67.889, 63.05, marks=pytest.mark.slow),
        pytest.param("w64_sidd", 115.983, 63.24, marks=pytest.mark.slow),
        pytest.param("baseline_w32_gopro", 17.024, 15.82, marks=pytest.mark.slow),
        pytest.param("baseline_w64_gopro", 112.036, 82.41, marks=pytest.mark.slow),
        ("baseline_w32_sidd", 29.056, 15.87),
        pytest.param("baseline_w64_sidd", 194.420, 82.61, marks=pytest.mark.slow),
    ],
)
def test_nafnet_published_sizes_have_the_published_cost(count_macs, size, mega_parameters, giga_macs):
    """Parameters and MACs of the published sizes, output convolution included, are those of the authors' code."""
    with torch.device("meta"):
        backbone = NAFNet(**NAFNet.sizes[size])
        network = nn.Sequential(backbone, output_convolution(backbone))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round(count_macs(network, 256) / 1e9, 2) == giga_macs


@pytest.mark.parametrize(
    "change",
    [
        {"width": 16},
        {"depths": (1, 1, 2, 1, 1)},
        {"depths": (1, 1, 1)},
        {"block": "baseline"},
        {"depthwise_expansion": 1},
        {"tlc_train_size": 16},
    ],
    ids=str,
)
def test_every_nafnet_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(NAFNet(**SMALL), NAFNet(**{**SMALL, **change}))


def test_fresh_nafnet_block_is_the_identity():
    """A block returns its input at first, as beta and gamma start at zero, and learns from there."""
    block = NAFNet(**SMALL).stages[0][0]
    features = torch.rand(1, 8, 6, 6)
    torch.testing.assert_close(block(features), features, rtol=0, atol=0)
    block(features).sum().backward()
    assert block.beta.grad.any()
    assert block.gamma.grad.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "nafnet: width is 0; it must be above 0"),
        ({"depths": (1, 1)}, r"depths is \[1, 1\]; it must hold an odd number"),
        ({"depths": ()}, "odd number"),
        ({"depths": (1, 0, 1)}, "at least 1"),
        ({"depthwise_expansion": 0}, "depthwise_expansion is 0; it must be above 0"),
        ({"width": 9, "depthwise_expansion": 1}, r"depthwise_expansion is 1; times width \(9\) it must be even"),
        ({"tlc_train_size": 0}, "tlc_train_size is 0; it must be above 0"),
    ],
)
def test_nafnet_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        NAFNet(**options)
