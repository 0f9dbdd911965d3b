"""Restormer: equal to reference outputs, to its published cost, and every option does something."""

import re

import pytest
import torch
from torch import nn

from backbones.restormer_lite import OFFICIAL_PARTS, RestormerLite
from benchmark.errors import CheckpointError
from benchmark.files import digest_of
from benchmark.model import build

SMALL = {"width": 8, "depths": (1, 1, 1), "refinement": 1, "heads": (1, 2, 4)}


def output_convolution(backbone):
    """Return the last convolution of the published network."""
    return nn.Conv2d(backbone.out_channels, 3, 3, padding=1, bias=False)


@pytest.mark.parametrize(
    ("case", "options"),
    [
        (
            "restormer_d8_biasfree",
            {"width": 8, "depths": (1, 1, 1, 1), "refinement": 1, "heads": (1, 2, 4, 8), "norm": "bias_free"},
        ),
        (
            "restormer_d8_bias_biasfree_ffn2",
            {
                "width": 8,
                "depths": (1, 2, 1, 1),
                "refinement": 1,
                "heads": (1, 1, 2, 2),
                "expansion": 2.0,
                "norm": "bias_free",
                "bias": True,
            },
        ),
        pytest.param("full/restormer_real_denoise", RestormerLite.sizes["restormer_denoise"], marks=pytest.mark.slow),
    ],
)
def test_restormer_gives_the_reference_output(load_golden, with_published_weights, case, options):
    """With the reference weights from a file, the restorer gives the reference output."""
    golden = load_golden(case)
    restored = with_published_weights("restormer_lite", options, golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(
    ("options", "mega_parameters", "giga_macs"),
    [
        pytest.param(RestormerLite.sizes["restormer"], 26.127, 154.88, marks=pytest.mark.slow),
        pytest.param(RestormerLite.sizes["restormer_denoise"], 26.112, 154.88, marks=pytest.mark.slow),
        (RestormerLite.sizes["small"], 1.728, 10.06),
        pytest.param({**RestormerLite.sizes["small"], "width": 24}, 3.813, 21.65, marks=pytest.mark.slow),
    ],
)
def test_restormer_has_the_published_cost(count_macs, options, mega_parameters, giga_macs):
    """Parameters and MACs, attention products and the output convolution included, are the published ones."""
    with torch.device("meta"):
        backbone = RestormerLite(**options)
        network = nn.Sequential(backbone, output_convolution(backbone))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == mega_parameters
    assert round(count_macs(network, 256) / 1e9, 2) == giga_macs


@pytest.mark.parametrize(
    "change",
    [
        {"width": 16},
        {"depths": (1, 2, 1)},
        {"depths": (1, 1), "heads": (1, 2)},
        {"refinement": 0},
        {"heads": (1, 1, 4)},
        {"expansion": 2.0},
        {"norm": "bias_free"},
        {"bias": True},
    ],
    ids=str,
)
def test_every_restormer_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(RestormerLite(**SMALL), RestormerLite(**{**SMALL, **change}))


def test_restormer_bias_reaches_neither_stem_nor_resampling_nor_norms():
    """Exactly the convolutions of the blocks and those after concatenations get a bias."""
    plain, biased = (set(dict(RestormerLite(**SMALL, bias=bias).named_parameters())) for bias in (False, True))
    added = {name.removesuffix(".bias") for name in biased - plain}
    layers = {".".join(name.split(".")[-2:]) for name in added if not name.startswith("reductions.")}
    assert biased >= plain
    assert layers == {
        f"{part}.{layer}" for part in ("attention", "feed_forward") for layer in ("expand", "depthwise", "project")
    }
    assert {name for name in added if name.startswith("reductions.")} == {"reductions.0"}


def test_bias_free_norm_keeps_the_mean():
    """The bias-free form divides by the deviation of the channels and subtracts nothing."""
    norm = RestormerLite(**SMALL, norm="bias_free").encoder[0][0].attention_norm
    features = torch.tensor([1.0, 3.0] * 4).view(1, 8, 1, 1)
    torch.testing.assert_close(norm(features), features / (1 + 1e-5) ** 0.5)


def test_bias_free_norm_survives_half_precision():
    """Features whose squares overflow float16 are normalised, not zeroed."""
    norm = RestormerLite(**SMALL, norm="bias_free").encoder[0][0].attention_norm.half()
    features = torch.tensor([1000.0, 3000.0] * 4, dtype=torch.float16).view(1, 8, 1, 1)
    torch.testing.assert_close(norm(features), features / 1000, rtol=2e-3, atol=0)


def test_restormer_attention_equals_its_formula():
    """Per head: softmax(temperature * cosine of each pair of channels) mixes the channels of the values."""
    torch.manual_seed(0)
    attention = RestormerLite(**SMALL).encoder[1][0].attention
    attention.temperature.data = torch.tensor([0.5, 3.0]).view(2, 1, 1)
    features = torch.rand(2, 16, 6, 5)
    query, key, value = attention.depthwise(attention.expand(features)).split(16, dim=1)
    mixed = torch.empty_like(value)
    for head in range(2):
        own = slice(8 * head, 8 * head + 8)
        pairs = torch.cosine_similarity(query[:, own, None].flatten(3), key[:, None, own].flatten(3), dim=-1)
        weights = (attention.temperature[head] * pairs).softmax(dim=-1)
        mixed[:, own] = torch.einsum("bij,bjhw->bihw", weights, value[:, own])
    torch.testing.assert_close(attention(features), attention.project(mixed))


def test_restormer_feed_forward_equals_its_formula():
    """The first half of the hidden channels, through the exact GELU, gates the second."""
    torch.manual_seed(0)
    feed_forward = RestormerLite(**SMALL).encoder[0][0].feed_forward
    features = torch.rand(2, 8, 6, 5)
    hidden = feed_forward.depthwise(feed_forward.expand(features))
    assert hidden.shape[1] == 2 * int(8 * 2.66)
    gate, value = hidden.split(21, dim=1)
    gelu = gate * (1 + torch.erf(gate / 2**0.5)) / 2
    torch.testing.assert_close(feed_forward(features), feed_forward.project(gelu * value))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 7}, "width is 7; it must be even"),
        ({"depths": (1,), "heads": (1,)}, r"depths is \[1\]; it must hold at least 2"),
        ({"depths": (1, 0), "heads": (1, 1)}, "at least 1"),
        ({"heads": (1, 2)}, "depths has 4 levels, so must heads"),
        ({"heads": (1, 2, 4, 5)}, r"heads\[3\] is 5; it must divide the level's 128 channels"),
        ({"heads": (0, 1, 1, 1)}, r"heads\[0\] is 0"),
        ({"refinement": -1}, "refinement is -1; it must be at least 0"),
        ({"expansion": 0.0}, "expansion is 0.0; it must be above 0"),
    ],
)
def test_restormer_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        RestormerLite(**options)


DUAL_PIXEL = {"width": 4, "depths": (1, 1, 1, 1), "refinement": 1, "heads": (1, 1, 2, 4), "dual_pixel": True}


@pytest.fixture
def dual_pixel(randomise):
    """Return the dual-pixel form with the head of its authors, every weight away from its initial value."""
    head = RestormerLite.published.head_of(DUAL_PIXEL)
    network = build({"backbone": {"name": "restormer_lite", **DUAL_PIXEL}, "head": head}).eval()
    randomise(network)
    network.head.conv.bias.data.zero_()  # the authors' output convolution has none
    return network


def test_the_dual_pixel_form_adds_its_stem_and_no_view(dual_pixel):
    """Output = convolution of (U-Net + 1x1 convolution of the stem): without these two, no view shows through."""
    views = torch.rand(1, 6, 19, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        restored = dual_pixel(views).image
        padded = nn.functional.pad(views, (0, 0, 0, 5), mode="reflect")
        seen = []
        hook = dual_pixel.backbone.refinement.register_forward_hook(lambda _, __, result: seen.append(result))
        dual_pixel(views)
        hook.remove()
        stem = nn.functional.conv2d(padded, dual_pixel.backbone.stem.weight, padding=1)
        features = seen[0] + nn.functional.conv2d(stem, dual_pixel.backbone.skip.weight)
        expected = nn.functional.conv2d(features, dual_pixel.head.conv.weight, padding=1)[..., :19, :]
    assert restored.shape == (1, 3, 19, 24)
    torch.testing.assert_close(restored, expected)


def test_dual_pixel_weights_are_imported_with_a_head_of_their_own(dual_pixel, tmp_path):
    """Under the authors' names they fit with head rgb, and give the same image; another head is refused by name."""
    official = {}
    for name, weight in dual_pixel.state_dict().items():  # as the authors' checkpoint names them
        key = re.sub(r"backbone\.(encoder|decoder)\.(\d)\.", lambda m: f"{m[1]}_level{int(m[2]) + 1}.", name)
        key = re.sub(r"backbone\.(latent|refinement)\.", r"\1.", key)
        key = key.replace("backbone.stem.", "patch_embed.proj.").replace("backbone.skip.", "skip_conv.")
        key = key.replace("head.conv.", "output.")
        key = re.sub(r"backbone\.downs\.(\d)\.0", lambda m: f"down{int(m[1]) + 1}_{int(m[1]) + 2}.body.0", key)
        key = re.sub(r"backbone\.ups\.(\d)\.0", lambda m: f"up{int(m[1]) + 2}_{int(m[1]) + 1}.body.0", key)
        key = re.sub(r"backbone\.reductions\.(\d)", lambda m: f"reduce_chan_level{int(m[1]) + 2}", key)
        for theirs, ours in OFFICIAL_PARTS.items():
            key = re.sub(rf"(\.\d+)\.{re.escape(ours)}(\.\w+)?$", rf"\1.{theirs}\2", key)
        official[key] = weight
    del official["output.bias"]
    file = tmp_path / "dual_pixel_defocus_deblurring.pth"
    torch.save({"params": official}, file)
    weights = {"file": str(file), "sha256": digest_of(file)}
    model = {"backbone": {"name": "restormer_lite", **DUAL_PIXEL}, "weights": weights}
    imported = build({**model, "head": RestormerLite.published.head_of(DUAL_PIXEL)}).eval()
    views = torch.rand(1, 6, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(imported(views).image, dual_pixel(views).image)
    with pytest.raises(CheckpointError, match=r"write  head: \{name: rgb, padding: zeros\}"):
        build({**model, "head": RestormerLite.published.head})


def test_a_network_for_two_views_refuses_one(dual_pixel):
    """The error says what shape there is and how many channels the backbone takes."""
    with pytest.raises(ValueError, match=r"images of shape \(1, 3, 16, 16\); for this backbone images are `B 6 H W`"):
        dual_pixel(torch.rand(1, 3, 16, 16))
