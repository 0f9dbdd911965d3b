"""timm U-Net: encoders of every build under one decoder, fine detail kept, and refusals that say what is wrong."""

import copy
import sys

import pytest
import torch

from backbones.timm_unet import TimmUNet
from benchmark.errors import ComponentError
from benchmark.registry import Registry

SMALL = {"encoder": "test_convnext", "stages": 2, "width": 8}
# Networks that timm makes for tests, and small ones: normalisation by layer and by batch, first map at 1/4, 1/2, 1/1
# and 1/16, maps as B H W C, windows that want 64 pixels, attention that wants 32 at two stages.
ENCODERS = {
    "test_convnext": {"multiple_of": 32, "min_side": 32},
    "test_resnet": {"multiple_of": 32, "min_side": 64},
    "test_efficientnet": {"multiple_of": 32, "min_side": 64},
    "test_byobnet": {"multiple_of": 32, "min_side": 64},
    "test_mambaout": {"multiple_of": 32, "min_side": 32},
    "test_vit": {"multiple_of": 16, "min_side": 16},
    "vgg11": {"stages": 3, "multiple_of": 4, "min_side": 4},
    "mobilenetv3_small_050": {"stages": 4, "multiple_of": 16, "min_side": 32},
    "efficientnet_lite0": {"stages": 2, "multiple_of": 4, "min_side": 8},
    "resnet18": {"stages": 3, "multiple_of": 8, "min_side": 16},
    "pvt_v2_b0": {"stages": 2, "multiple_of": 32, "min_side": 32},
    "mobilevitv2_050": {"multiple_of": 64, "min_side": 64},
}
SLOW = {"vgg11", "pvt_v2_b0", "mobilevitv2_050"}


def build(encoder, **options):
    """Return a narrow network with the encoder and the stages it is listed with."""
    facts = ENCODERS.get(encoder, {})
    return TimmUNet(**{"encoder": encoder, "width": 4, "stages": facts.get("stages"), **options})


@pytest.mark.parametrize(
    "encoder", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in ENCODERS]
)
def test_encoders_of_every_build_work(encoder):
    """Sides and features are right, the smallest image trains, and every parameter has a part in it."""
    backbone = build(encoder)
    sides = {"multiple_of": backbone.multiple_of, "min_side": backbone.min_side}
    assert sides == {key: ENCODERS[encoder][key] for key in sides}
    smallest = torch.rand(1, 3, backbone.min_side, backbone.min_side)
    features = backbone(smallest)
    assert features.shape == (1, 4, backbone.min_side, backbone.min_side)
    features.square().mean().backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("encoder", ["test_resnet", "mobilenetv3_small_050"])
def test_timm_unet_min_side_is_the_smallest(encoder):
    """One step below min_side, training has no batch statistics at the encoder's last stage."""
    backbone = build(encoder)
    side = backbone.min_side - backbone.multiple_of
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        backbone(torch.zeros(1, 3, side, side))


@pytest.mark.parametrize(
    ("size", "parameters", "giga_macs"),
    [("convnextv2_atto", 5_157_888, 6.97), ("resnet34", 25_466_336, 12.16), ("small", 2_093_408, 6.59)],
)
def test_timm_unet_sizes_cost_what_is_told(count_macs, size, parameters, giga_macs):
    """Parameters, and MACs for 256 x 256 pixels, of the named sizes."""
    with torch.device("meta"):
        backbone = TimmUNet(**TimmUNet.sizes[size])
    assert sum(p.numel() for p in backbone.parameters()) == parameters
    assert round(count_macs(backbone, 256) / 1e9, 2) == giga_macs


@pytest.mark.parametrize(
    "change", [{"encoder": "test_convnext2"}, {"stages": 3}, {"width": 12}, {"decoder_depth": 2}], ids=str
)
def test_every_timm_unet_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output; `pretrained` is tested by itself."""
    assert differ(TimmUNet(**SMALL), TimmUNet(**{**SMALL, **change}))


def test_the_stem_begins_where_the_encoder_does_not():
    """The decoder ends at full resolution: one stem level for each halving above the encoder's first map, and one."""
    with torch.device("meta"):
        levels = {name: len(build(name).stem) for name in ("vgg11", "test_resnet", "test_convnext", "test_vit")}
    assert levels == {"vgg11": 1, "test_resnet": 1, "test_convnext": 2, "test_vit": 4}


def test_fine_detail_goes_past_the_encoder():
    """With every coarser level cut off, a single pixel is still seen, and only near it."""
    torch.manual_seed(0)
    backbone = TimmUNet(**SMALL).eval()
    for parameter in backbone.ups[-1].up.parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    backbone(image)[..., 16, 16].sum().backward()
    reached = image.grad.abs().sum((0, 1)) > 0
    assert reached[14:19, 14:19].all()
    assert not reached[:12].any()


def test_the_encoder_sees_a_normalised_image():
    """What the encoder gets is what timm says it was trained on: ImageNet's mean and deviation, or its own."""
    seen = []
    for encoder, mean, deviation in [
        ("resnet18", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("test_convnext", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ]:
        backbone = build(encoder, stages=1).eval()
        image = torch.rand(1, 3, 32, 32)
        raw = (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)
        torch.testing.assert_close(backbone.encoder(image)[0], backbone.encoder.network(raw)[0])
        seen.append(set(backbone.state_dict()))
    assert not any(name.endswith(("mean", "deviation")) and "running" not in name for name in set.union(*seen))


def test_maps_of_one_size_count_once():
    """Of several maps of one resolution, as a vision transformer gives them, the last enters the decoder."""
    backbone = build("test_vit").eval()
    image = torch.rand(1, 3, 32, 48)
    (entered,) = backbone.encoder(image)
    encoder = backbone.encoder
    assert torch.equal(entered, encoder.network((image - encoder.mean) / encoder.deviation)[-1])


def test_the_decoder_is_never_wider_than_the_encoder():
    """Channels double with every halving from `width`, up to what the encoder has at that resolution."""
    widths = [up.join.out_channels for up in TimmUNet(encoder="test_convnext", width=8).ups]
    assert widths == [48, 32, 24, 16, 8]


def test_a_copy_stands_alone():
    """A deep copy, as gates make of a network, has weights of its own and gives the same features."""
    backbone = TimmUNet(**SMALL).eval()
    duplicate = copy.deepcopy(backbone)
    image = torch.rand(1, 3, 32, 32)
    expected = backbone(image)
    assert torch.equal(duplicate(image), expected)
    for parameter in duplicate.parameters():
        torch.nn.init.ones_(parameter)
    assert torch.equal(backbone(image), expected)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["test_convnext", "test_resnet", "test_efficientnet", "test_mambaout"])
def test_timm_unet_compiles_as_one_graph(encoder):
    """Tracing finds no graph break."""
    backbone = build(encoder, stages=2).eval()
    image = torch.rand(1, 3, 32, 32)
    compiled = torch.compile(backbone, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(image), backbone(image))


def test_options_and_sizes_need_no_timm(root, monkeypatch):
    """Where timm cannot be imported, options and sizes are listed, and only a network of it cannot be built."""
    monkeypatch.setitem(sys.modules, "timm", None)
    registry = Registry((root / "backbones/timm_unet.py",))
    options = registry.options_model("backbone", "timm_unet").model_fields
    assert set(options) == {"encoder", "pretrained", "stages", "width", "decoder_depth"}
    assert "small" in registry.find("backbone", "timm_unet").sizes
    with pytest.raises(ComponentError, match=r"timm cannot be imported: .*; python -m benchmark doctor"):
        registry.create("backbone", "timm_unet", {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "timm_unet: width is 0; it must be above 0"),
        ({"decoder_depth": 0}, "decoder_depth is 0; it must be above 0"),
        ({"stages": 0}, "stages is 0; it must be above 0"),
        ({"encoder": "convnextv2_ato"}, r"has no encoder 'convnextv2_ato'; names like it: convnextv2_atto, "),
        ({"encoder": "hf-hub:timm/resnet18"}, "has no encoder 'hf-hub:timm/resnet18'"),
        ({"encoder": "resnet18.nobody"}, "encoder 'resnet18.nobody' gives no features: .*tag"),
        ({"encoder": "resnet18", "stages": 9}, "encoder 'resnet18' with 9 stages gives no features: .*out of range"),
        ({"encoder": "mixer_b16_224"}, "'mixer_b16_224' does not take images of every size: it takes none of"),
        ({"encoder": "inception_v3"}, r"makes a map of \(64, 125, 253\) from 256 x 512 px, where \(64, 128, 256\)"),
    ],
)
def test_timm_unet_says_what_is_allowed(options, message):
    """An option outside its range is refused, in one line, with the value and what would do."""
    with torch.device("meta"), pytest.raises(ValueError, match=message) as refusal:
        TimmUNet(**options)
    assert "\n" not in str(refusal.value)


def test_pretrained_weights_are_asked_for():
    """With `pretrained` timm is asked for weights: an encoder that has none anywhere is refused, without a download."""
    assert TimmUNet(encoder="lcnet_035", stages=1, pretrained=False).multiple_of == 2
    with pytest.raises(ValueError, match=r"No pretrained weights exist.*; pretrained needs weights that timm can"):
        TimmUNet(encoder="lcnet_035", stages=1, pretrained=True)


def test_counting_fetches_no_weights():
    """On the meta device, where networks are built to be counted, `pretrained` changes nothing."""
    with torch.device("meta"):
        assert TimmUNet(encoder="lcnet_035", stages=1, pretrained=True).multiple_of == 2
