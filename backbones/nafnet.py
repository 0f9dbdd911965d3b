"""NAFNet: a U-Net without nonlinear activations; halves of the channels multiply each other instead."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from backbones import Backbone, Published
from backbones._layers import check_depths, check_positive
from backbones._naf_unet import NAF_PARTS, NafBlock, make_downs, make_renames, make_ups, run_through
from backbones._tlc import window_side

GOPRO, SIDD = (1, 1, 1, 28, 1, 1, 1, 1, 1), (2, 2, 4, 8, 12, 2, 2, 2, 2)


class NAFNet(Backbone):
    """U-Net of nonlinear-activation-free blocks (paper, section 3 and figure 3c), or of the paper's baseline blocks.

    Levels double in channels and halve in size; skip connections are added. Features are those before the output
    convolution, `width` channels.

    Options:
        width: channels at full resolution.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.
        block: naf, or baseline (figure 3b): GELU instead of the product of two halves of the channels, and channel
            attention with a bottleneck, ReLU and sigmoid.
        depthwise_expansion: channels of the depthwise convolution, as a multiple of its block's.
        tlc_train_size: test-time local conversion (TLC, arXiv:2112.04491): side in pixels of the patches that the
            network was trained on. In eval mode channel attention then takes the mean of a window of 1.5 times that
            side around each pixel; smaller images are pooled whole. None pools every image whole, as training does.

    Raises:
        ValueError: an option is outside what it allows.
    """

    citation: ClassVar[str] = """@inproceedings{chen2022simple,
  title = {Simple Baselines for Image Restoration},
  author = {Chen, Liangyu and Chu, Xiaojie and Zhang, Xiangyu and Sun, Jian},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year = {2022}
}"""
    origin: ClassVar[str] = (
        "arXiv:2204.04676; reference implementation megvii-research/NAFNet@2b4af71e (MIT), whose weights fit after "
        "renaming. Sizes that name a data set are published, those of the baseline with its blocks. The published "
        "GoPro scores are with tlc_train_size 256, which no size sets: it goes with the patches of the training. Sizes "
        "small and tiny are our choices."
    )
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "w32_gopro": {"width": 32, "depths": GOPRO},
        "w64_gopro": {"width": 64, "depths": GOPRO},
        "w32_sidd": {"width": 32, "depths": SIDD},
        "w64_sidd": {"width": 64, "depths": SIDD},
        "baseline_w32_gopro": {"width": 32, "depths": GOPRO, "block": "baseline", "depthwise_expansion": 1},
        "baseline_w64_gopro": {"width": 64, "depths": GOPRO, "block": "baseline"},
        "baseline_w32_sidd": {"width": 32, "depths": SIDD, "block": "baseline", "depthwise_expansion": 1},
        "baseline_w64_sidd": {"width": 64, "depths": SIDD, "block": "baseline"},
        "small": {"width": 16, "depths": (2, 2, 4, 4, 2, 2, 2, 2, 2)},
        "tiny": {"width": 8, "depths": (1, 1, 1, 1, 1, 1, 1)},
    }
    pad_mode: ClassVar[Literal["reflect", "zeros"]] = "zeros"
    published: ClassVar[Published | None] = Published(
        keys=partial(make_renames, parts=NAF_PARTS), head={"name": "residual", "padding": "zeros"}
    )

    def __init__(
        self,
        width: int = 32,
        depths: tuple[int, ...] = SIDD,
        block: Literal["naf", "baseline"] = "naf",
        depthwise_expansion: int = 2,
        tlc_train_size: int | None = None,
    ) -> None:
        super().__init__()
        _check_options(width, depths, depthwise_expansion, tlc_train_size)
        levels = len(depths) // 2
        channels = [width << level for level in range(levels + 1)]

        def stage(depth: int, level: int) -> nn.Sequential:
            window = None if tlc_train_size is None else window_side(tlc_train_size, 2**levels, level)
            return nn.Sequential(*[NafBlock(channels[level], block, depthwise_expansion, window) for _ in range(depth)])

        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.stages = nn.ModuleList(map(stage, depths, [*range(levels + 1), *reversed(range(levels))]))
        self.downs, self.ups = make_downs(channels), make_ups(channels)

        self.out_channels = width
        self.multiple_of = 2**levels
        self.min_side = self.multiple_of

    def forward(self, image: Tensor) -> Tensor:
        """Features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        return run_through(self.stem(image), self.stages, self.downs, self.ups)


def _check_options(width: int, depths: tuple[int, ...], expansion: int, tlc_train_size: int | None) -> None:
    check_positive("nafnet", width=width, depthwise_expansion=expansion)
    check_depths("nafnet", depths)
    if width * expansion % 2:
        raise ValueError(
            f"nafnet: depthwise_expansion is {expansion}; times width ({width}) it must be even, as it is halved"
        )
    if tlc_train_size is not None:
        check_positive("nafnet", tlc_train_size=tlc_train_size)
