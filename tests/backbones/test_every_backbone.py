"""What holds for every backbone: image sizes, memory layouts, half precision, gradients, export, size limits."""

import re
from collections.abc import Callable
from itertools import product
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Features
from benchmark.inference.onnx import INPUT, onnx_bytes
from benchmark.model import build
from benchmark.registry import Registry

REGISTRY = Registry()
NAMES = REGISTRY.names("backbone")
Variant = tuple[str, dict[str, Any]]
VARIANTS: list[Variant] = [
    *((name, {}) for name in NAMES),
    ("darkir", {"extra_convolution": False}),
    ("dncnn", {"norm": "none"}),
    ("gunet", {"norm": "layer"}),
    ("gunet", {"gate": "none"}),
    ("kbnet_l", {"bias": True}),
    ("plksr", {"form": "realplksr"}),
    ("restormer_lite", {"norm": "bias_free"}),
    ("restormer_lite", {"bias": True}),
    ("span", {"expansion": 2, "img_range": 1.0}),
    ("swinir", {"residual_convolutions": 3, "img_range": 255.0, "window": 7}),
    ("timm_unet", {"encoder": "test_resnet"}),
    ("timm_unet", {"encoder": "test_mambaout"}),
    ("unet", {"norm": "batch", "up": "bilinear", "down": "conv"}),
]
"""Every backbone in its tiny size, and options that bring other layers into it."""
SIZE_VARIANTS: list[Variant] = [
    *VARIANTS,
    *(
        ("gunet", {"depths": (1, 1, 1, 1, 1), "input_scales": 1, "kernel_size": kernel, "padding": padding})
        for kernel, padding in product((1, 3, 5, 7), ("reflect", "zeros"))
    ),
    *((name, {"depths": (1,) * (2 * levels + 1)}) for name in ("nafnet", "kbnet", "darkir") for levels in range(4)),
    *(
        ("blend_pyramid", {"levels": levels, "depths": (1,) * (2 * halvings + 1)})
        for levels, halvings in product((1, 2, 3), range(3))
    ),
    *(
        ("uformer", {"depths": (2,) * (2 * levels + 1), "heads": (1,) * (2 * levels + 1), "window": 2})
        for levels in range(3)
    ),
    *(("restormer_lite", {"depths": (1,) * levels, "heads": (1,) * levels}) for levels in (2, 3, 4)),
    *(("kbnet_l", {"depths": (1,) * levels, "heads": (1,) * levels}) for levels in (2, 3)),
    *(("unet", {"levels": levels, "norm": norm}) for levels, norm in product((1, 2, 3), ("none", "batch"))),
    *(("hinet", {"depth": depth}) for depth in (2, 4)),
    *(("swinir", {"window": window}) for window in (2, 3, 8)),
    *(("esc", {"window": window}) for window in (2, 3, 16)),
    ("convir", {"dilations": (1, 1, 1)}),
    ("convir", {"dilations": (1, 4, 7)}),
    ("erase_unet", {"levels": 3}),
]
"""Variants with options that decide which image sizes a backbone takes."""
EXPORT_VARIANTS: list[Variant] = [
    *(
        variant
        for variant in VARIANTS
        if variant[0] not in {"dehazeformer", "esc", "hinet", "rlfn", "swinir", "uformer"}
    ),
    ("gunet", {"input_scales": 3}),
    ("gunet", {"input_scales": 3, "norm": "layer"}),
    ("nafnet", {"block": "baseline"}),
    ("nafnet", {"tlc_train_size": 16}),
    ("nafnet", {"tlc_train_size": 256}),
    ("timm_unet", {"encoder": "convnextv2_atto", "stages": 2}),
    ("timm_unet", {"encoder": "test_efficientnet", "stages": 2}),
]
"""Variants that are exported with free sides; attention in windows fixes them."""
ENDS_CONTIGUOUS = {"hinet", "kbnet_l", "restormer_lite", "swinir"}
"""The last layer of these has an output layout of its own."""
HALF_PRECISION_ERROR = {"hinet": 0.05}
"""Of the features, as a share; 0.03 for all others."""
NORMALISES_MEANS = {"convir"}
"""Over two images of noise, which differ too little in their means: any rounding changes the sign of the result."""
WITHOUT_GRADIENT = ("offset_bias.output.bias",)
"""Ends of the names of parameters without effect: a softmax removes what is equal for all its inputs."""


def tiny(name: str, **options: Any) -> Backbone:
    """Return a backbone in its tiny size, with these options."""
    torch.manual_seed(0)
    component = REGISTRY.find("backbone", name)
    return component(**{**component.sizes["tiny"], **options})


def outputs(features: Tensor | Features) -> list[Tensor]:
    """Return the features and auxiliary images as one list."""
    return [features] if isinstance(features, Tensor) else [features.tensor, *features.auxiliary]


def side_of(backbone: Backbone, least: int = 32) -> int:
    """Return the smallest side of at least `least` pixels that the backbone takes."""
    return -(-max(backbone.min_side, least) // backbone.multiple_of) * backbone.multiple_of


@pytest.mark.parametrize("name", NAMES)
def test_small_sizes_fit_ten_megabytes(name: str, weight_bytes: Callable[[nn.Module], int]) -> None:
    """The sizes made for the size gate stay under 10,000,000 bytes with room for the file's header."""
    component = REGISTRY.find("backbone", name)
    for size in {"small", "tiny", "retouch"} & set(component.sizes):
        backbone = component(**component.sizes[size])
        assert weight_bytes(backbone) + 128 * len(backbone.state_dict()) < 10_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_tiny_size_is_tiny(name: str) -> None:
    """10 to 80 thousand parameters; patches of 64 px need no padding."""
    backbone = tiny(name)
    assert 10_000 <= sum(parameter.numel() for parameter in backbone.parameters()) <= 80_000
    assert backbone.min_side <= 64 and 64 % backbone.multiple_of == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_source_is_named(name: str) -> None:
    """The citation has author, title and year; a network with published weights names its reference and licence."""
    component = REGISTRY.find("backbone", name)
    assert re.match(r"@\w+\{", component.citation)
    assert all(re.search(rf"\b{field} = ", component.citation) for field in ("author", "title", "year"))
    if component.published is not None:
        assert re.search(r"arXiv:\d{4}\.\d{5}|ieeexplore\.ieee\.org/document/\d+", component.origin)
        assert re.search(
            r"@[0-9a-f]{8} \([\w.-]+\)|written from the paper, not from the authors' code", component.origin
        )


@pytest.mark.parametrize("name", NAMES)
def test_no_choice_leaves_an_affine_network(name: str, randomise: Callable[[nn.Module], None]) -> None:
    """With all choices of words combined, the features of a mean of two images are not the mean of their features."""
    fields = REGISTRY.options_model("backbone", name).model_fields
    choices = {
        option: get_args(field.annotation)
        for option, field in fields.items()
        if get_origin(field.annotation) is Literal
    }
    for values in product(*choices.values()):
        options = dict(zip(choices, values, strict=True))
        backbone = tiny(name, **options).eval().double()
        randomise(backbone)
        side = side_of(backbone, 8)
        images = torch.rand(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            *features, features_of_mean = backbone(torch.cat([images, images.mean(0, keepdim=True)]))
        mean_of_features = torch.stack(features).mean(0)
        assert (mean_of_features - features_of_mean).norm() > 1e-6 * mean_of_features.norm(), options


@pytest.mark.parametrize(("name", "options"), SIZE_VARIANTS, ids=str)
def test_every_claimed_size_is_taken(name: str, options: dict[str, Any]) -> None:
    """From min_side upward, every multiple of multiple_of comes back in its own size, in training and eval mode."""
    backbone = tiny(name, **options)
    for training, (rows, columns) in ((False, (0, 0)), (False, (0, 1)), (True, (0, 0)), (True, (2, 1))):
        height, width = (backbone.min_side + steps * backbone.multiple_of for steps in (rows, columns))
        with torch.no_grad():
            features, *auxiliary = outputs(backbone.train(training)(torch.zeros(1, 3, height, width)))
        assert features.shape == (1, backbone.out_channels, height, width)
        for image in auxiliary:
            stride = height // image.shape[2]
            assert training and backbone.multiple_of % stride == 0
            assert image.shape == (1, 3, height // stride, width // stride)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_odd_sides_are_restored_as_if_padded(name: str, training: bool) -> None:
    """Through the restorer, an image of odd sides is that of itself padded to what the backbone takes, cropped."""
    component = REGISTRY.find("backbone", name)
    network = build({"backbone": {"name": name, **component.sizes["tiny"]}, "head": {"name": "rgb"}}).train(training)
    side, multiple = side_of(network.backbone), network.backbone.multiple_of
    height, width = side - 3, side - 2
    image = torch.rand(2, 3, height, width)
    padding = (0, -width % multiple, 0, -height % multiple)
    padded = F.pad(image, padding, "reflect" if component.pad_mode == "reflect" else "constant")
    with torch.no_grad():
        odd, even = network(image), network(padded)
    assert torch.equal(odd.image, even.image[..., :height, :width])
    assert len(odd.auxiliary) == len(even.auxiliary)
    for cropped, whole in zip(odd.auxiliary, even.auxiliary, strict=True):
        stride = padded.shape[3] // whole.shape[3]
        assert cropped.shape[2:] == (height // stride, width // stride)
        assert torch.equal(cropped, whole[..., : cropped.shape[2], : cropped.shape[3]])


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
def test_the_memory_layout_does_not_matter(
    name: str, options: dict[str, Any], randomise: Callable[[nn.Module], None]
) -> None:
    """Channels last gives the features of the default layout, and keeps it to the end."""
    backbone = tiny(name, **options).eval()
    randomise(backbone)
    side = side_of(backbone)
    image = torch.rand(2, 3, side, 2 * side)
    with torch.no_grad():
        expected = backbone(image)
        features = backbone.to(memory_format=torch.channels_last)(image.to(memory_format=torch.channels_last))
    assert name in ENDS_CONTIGUOUS or features.is_contiguous(memory_format=torch.channels_last)
    assert (features - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
def test_autocast_trains_every_parameter(
    name: str, options: dict[str, Any], randomise: Callable[[nn.Module], None]
) -> None:
    """Under bfloat16 autocast every gradient is finite and not zero, and the features are near those in float32."""
    backbone = tiny(name, **options).train()
    for norm in backbone.modules():
        if name in NORMALISES_MEANS and isinstance(norm, nn.BatchNorm2d):
            norm.eval()
    randomise(backbone)
    side = side_of(backbone)
    image = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = outputs(backbone(image))
    sum((part.float().square().mean() for part in half), start=torch.zeros(())).backward()
    with torch.no_grad():
        exact = outputs(backbone(image))
    error = (half[0].float() - exact[0]).norm() / exact[0].norm()
    assert error < HALF_PRECISION_ERROR.get(name, 0.03)
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
        assert parameter.grad.any() or key.endswith(WITHOUT_GRADIENT), key


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), EXPORT_VARIANTS, ids=str)
def test_a_backbone_exports_for_any_size(
    name: str, options: dict[str, Any], randomise: Callable[[nn.Module], None]
) -> None:
    """The network exports with free batch and sides, and the export gives the same features.

    torch refuses a program made from a large image to images that take another branch: windows of local conversion (24
    or 384 px here) that hold the whole image, steps of a cascade that leave one pixel. All sides are between these.
    """
    backbone = tiny(name, **options).eval()
    randomise(backbone)
    unit, least = backbone.multiple_of, side_of(backbone, 56) // backbone.multiple_of
    rows, columns = (torch.export.Dim(name, min=least, max=256) for name in ("rows", "columns"))
    shapes = ({0: torch.export.Dim("batch", max=8), 2: unit * rows, 3: unit * columns},)
    if unit == 1:
        shapes = ({0: torch.export.Dim("batch", max=8), 2: rows, 3: columns},)
    example = torch.rand(2, 3, *(side_of(backbone, side) for side in (112, 128)))
    exported = torch.export.export(backbone, (example,), dynamic_shapes=shapes).module()
    for sides in ((60, 80), (140, 56)):
        image = torch.rand(3, 3, *(side_of(backbone, side) for side in sides))
        torch.testing.assert_close(exported(image), backbone(image), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "made_from", "sides"),
    [
        (
            {"name": "nafnet", "width": 4, "depths": (1, 1, 1), "tlc_train_size": 32},
            ((40, 40), (64, 72)),
            ((40, 41), (40, 70), (61, 83)),
        ),
        (
            {"name": "cgnet", "width": 4, "depths": (1, 1, 1, 1, 1), "cascade": (3, 2)},
            ((48, 48),),
            ((32, 41), (61, 90), (131, 40)),
        ),
    ],
    ids=["nafnet with local conversion", "cgnet"],
)
def test_branches_by_size_go_into_an_onnx_file(
    randomise: Callable[[nn.Module], None], options: dict[str, Any], made_from: Any, sides: Any
) -> None:
    """A file takes images of any size, also where the network takes another branch than for the image it is made from.

    Local conversion pools large images by windows and small ones whole; a cascade may leave one pixel.
    """
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = build({"backbone": options, "head": {"name": "residual"}}).eval()
    randomise(network)
    for exported_at in made_from:
        session = onnxruntime.InferenceSession(onnx_bytes(network, exported_at, dynamic=True))
        for height, width in sides:
            image = torch.rand(1, 3, height, width)
            (restored,) = session.run(None, {INPUT: image.numpy()})
            with torch.no_grad():
                torch.testing.assert_close(torch.from_numpy(restored), network(image).image.clamp(0, 1))
