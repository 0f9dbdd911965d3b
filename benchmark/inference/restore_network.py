"""A trained network as a function that restores one image: whole or in tiles, in a runtime, once or as an ensemble."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from benchmark.inference.adjustments import Restore, averaged_over_orientations
from benchmark.inference.int8 import FileNetwork
from benchmark.inference.pixels import UnitImage
from benchmark.inference.restore_images import Restored
from benchmark.inference.runtimes import prepare, prepare_sizes
from benchmark.inference.tiles import Tiling, restore_in_tiles, tiling_for
from benchmark.model.restorer import Restorer, to_tensor
from heads import Restoration
from reports.schema import Dtype

MOST_WHOLE_PIXELS = 3 << 20
"""Larger images are restored in tiles, unless the user wants them whole: their features would take gigabytes."""
_SMALL_PX = 16
TILE_PX, OVERLAP_PX = 1024, 32
"""Of images that are restored in tiles without anybody asking for it."""


@dataclass(frozen=True)
class NetworkUse:
    """How a network is used.

    Attributes:
        runtime: One of `runtimes.runtime_names`.
        dtype: Of weights and features.
        tile: Side of the tiles; None: tiles of `TILE_PX` for images above `MOST_WHOLE_PIXELS`; 0: never.
        overlap: Pixels that neighbouring tiles share at least.
        ensemble: Average over the eight orientations.
        with_maps: Also return the maps of the head; the image is then restored whole, by torch, once.
    """

    runtime: str = "eager"
    dtype: Dtype = "float32"
    tile: int | None = None
    overlap: int = OVERLAP_PX
    ensemble: bool = False
    with_maps: bool = False


class ImageRestoration:
    """Restores images with a network on a device; what it finds out on the way goes to `note`, one line each, once."""

    def __init__(
        self,
        restorer: Restorer,
        device: torch.device,
        use: NetworkUse,
        note: Callable[[str], None],
        file: FileNetwork | None = None,
    ) -> None:
        """Take a network that is on the device. `file`: what restores in its place, but for maps."""
        self._file = file
        self._restorer, self._device, self._use, self._note = restorer, device, use, note
        self._prepared = prepare_sizes(use.runtime, restorer, device, use.dtype)

    def __call__(self, image: UnitImage) -> Restored:
        """Return the restored image of one `H W 3` in [0, 1]."""
        if self._use.with_maps:
            return self._with_maps(image)
        restore: Restore = self._in_tiles if self._needs_tiles(image) else self._whole
        return Restored((averaged_over_orientations(restore) if self._use.ensemble else restore)(image), {})

    def _needs_tiles(self, image: UnitImage) -> bool:
        if self._use.tile is not None:
            return self._use.tile > 0
        return image.shape[0] * image.shape[1] > MOST_WHOLE_PIXELS

    def _whole(self, image: UnitImage) -> UnitImage:
        if self._file:
            return self._file.restore_unit(image)
        size = (image.shape[0], image.shape[1])
        return self._prepared(size).restore_unit(image)

    def _by_torch(self, image: UnitImage) -> UnitImage:
        size = (image.shape[0], image.shape[1])
        return prepare("eager", self._restorer, size, self._device, self._use.dtype).restore_unit(image)

    @torch.inference_mode()
    def _with_maps(self, image: UnitImage) -> Restored:
        image = image if image.flags.writeable else image.copy()
        restoration = self._restorer(to_tensor(image, self._device))
        shown = _shown(restoration)
        maps = {name: values[0].float().permute(1, 2, 0).cpu().numpy() for name, values in shown.items()}
        return Restored(restoration.image[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy(), maps)

    def _in_tiles(self, image: UnitImage) -> UnitImage:
        tiling, is_exact = self._tiling
        if not is_exact:
            self._say_difference(image, tiling)
        return restore_in_tiles(self._whole, image, tiling)

    @cached_property
    def _tiling(self) -> tuple[Tiling, bool]:
        """The tiles, and whether they give the pixels of the whole image."""
        tiling, note = tiling_for(self._restorer, self._use.tile or TILE_PX, self._use.overlap, self._device)
        return tiling, not note

    def _say_difference(self, image: UnitImage, tiling: Tiling) -> None:
        """Note once by how much tiles differ from the whole, in a part of this image that has four tiles.

        Both are computed by torch whatever the runtime: others prepare a network for each size, which takes long.
        """
        if max(image.shape[:2]) <= tiling.tile or self._is_compared:
            return
        self._is_compared = True
        step = tiling.multiple_of
        side = -(-(tiling.tile + tiling.tile // 2) // step) * step
        top, left = ((max(length - side, 0) // 2) // step * step for length in image.shape[:2])
        part = np.ascontiguousarray(image[top : top + side, left : left + side])
        difference = 255 * np.abs(restore_in_tiles(self._by_torch, part, tiling) - self._by_torch(part))
        self._note(
            f"the network looks at the whole image: in tiles of {tiling.tile} pixels the result differs, in a part of "
            f"{part.shape[0]} x {part.shape[1]} pixels of the first image by {difference.mean():.2g} levels of 255 on "
            f"average, by {difference.max():.2g} at most; larger tiles differ less (--tile), --whole not at all"
        )

    _is_compared = False


@torch.inference_mode()
def shown_maps(restorer: Restorer) -> tuple[str, ...]:
    """Return the names of the maps that a network on the CPU gives with every image: a small one tells."""
    image = torch.zeros(1, restorer.backbone.in_channels, _SMALL_PX, _SMALL_PX)
    return tuple(_shown(restorer(image)))


def _shown(restoration: Restoration) -> dict[str, torch.Tensor]:
    """Return the maps, `B C H W`, that a picture can show: of one or three channels, and no logits."""
    return {
        name: values
        for name, values in restoration.maps.items()
        if values.shape[1] in (1, 3) and not name.endswith("_logits")
    }
