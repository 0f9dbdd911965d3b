"""A trained network for use from Python: arrays in, arrays of the same kind out.

from benchmark import load
network = load("runs/x/base")
image = network.restore(array)
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import DataError
from benchmark.inference.adjustments import Restore, averaged_over_orientations, blended
from benchmark.inference.device_setup import inference_device
from benchmark.inference.int8 import FileNetwork, shipped_file
from benchmark.inference.pixels import UnitImage, like, to_unit
from benchmark.inference.prepared_network import ImageNetwork
from benchmark.inference.tiles import restore_in_tiles, tiling_for
from benchmark.model import load as load_restorer
from benchmark.model.restorer import Restorer, fold
from benchmark.registry import Registry

_BATCH_PIXELS = 1 << 20
"""Images of a batch that go through the network at once have at most so many pixels, but for a single one."""
_OVERLAP_PX = 32


class Network:
    """A trained network on a device. It changes no setting of torch and prints nothing.

    Attributes:
        restorer: The network as a torch module, folded for inference.
        device: Where it runs.
        file: Restores in its place, where a row was scored in 8 bits; None: the network restores.
    """

    def __init__(
        self, restorer: Restorer, device: str | torch.device | None = None, file: FileNetwork | None = None
    ) -> None:
        """Copy a network to a device.

        Args:
            restorer: The network; it stays as it is.
            device: `cpu`, `cuda`, `cuda:N` or `mps`; None: CUDA if there is one, else MPS, else the CPU.
            file: What restores in place of the network, on the CPU: the file in 8 bits that a row was scored with.

        Raises:
            BenchmarkError: There is no such device.
        """
        self.file = file
        self.device = inference_device("cpu" if file else None if device is None else str(device))
        self.restorer = fold(restorer).to(self.device)
        self._network = ImageNetwork(self.restorer).to(self.device)

    def __repr__(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.restorer.parameters())
        bits = " in 8 bits" if self.file else ""
        names = (type(part).__name__ for part in (self.restorer.backbone, self.restorer.head))
        return f"Network({' + '.join(names)}, {parameters:,} parameters{bits}, on {self.device})"

    @overload
    def restore(
        self, images: NDArray[Any], *, strength: float = 1.0, ensemble: bool = False, tile: int | None = None
    ) -> NDArray[Any]: ...

    @overload
    def restore(
        self, images: Sequence[NDArray[Any]], *, strength: float = 1.0, ensemble: bool = False, tile: int | None = None
    ) -> list[NDArray[Any]]: ...

    def restore(
        self,
        images: NDArray[Any] | Sequence[NDArray[Any]],
        *,
        strength: float = 1.0,
        ensemble: bool = False,
        tile: int | None = None,
    ) -> NDArray[Any] | list[NDArray[Any]]:
        """Return the restored image, batch or list, of the shapes and the type that were given.

        Args:
            images: `H W 3` RGB, `H W` grey, a batch `B H W 3`, or a list of images of any sizes. uint8, uint16, or
                float in [0, 1]; results in float are clamped to [0, 1].
            strength: From 0, the image as it is, to 1, the restored image.
            ensemble: Average over the eight orientations of each image: eight times the work.
            tile: Restore in square tiles of so many pixels, for images that do not fit into memory.

        Raises:
            DataError: What was given is no image; the message says what is wrong.
        """
        if not 0 <= strength <= 1:
            raise DataError(f"strength is {strength}; it must be from 0 to 1")
        if not isinstance(images, np.ndarray | list | tuple):
            kind = type(images).__name__
            raise DataError(f"a {kind}; expected a NumPy array or a list of them: np.asarray makes one of a picture")
        if tile is not None and tile < 1:
            raise DataError(f"tile is {tile}; it must be a number of pixels above 0")
        if isinstance(images, np.ndarray) and images.ndim == 4:
            return np.stack(self._restore_all(list(images), strength, ensemble, tile)) if len(images) else images.copy()
        if isinstance(images, np.ndarray):
            return self._restore_all([images], strength, ensemble, tile)[0]
        return self._restore_all(list(images), strength, ensemble, tile)

    def _restore_all(
        self, images: list[NDArray[Any]], strength: float, ensemble: bool, tile: int | None
    ) -> list[NDArray[Any]]:
        units = [to_unit(np.asarray(image)) for image in images]
        if ensemble or tile:
            restore = self._in_tiles(tile) if tile else self._restore_single
            restore = averaged_over_orientations(restore) if ensemble else restore
            restored = map(restore, units)
        else:
            restored = (unit for group in _groups(units) for unit in self._restore_group(group))
        return [
            like(blended(unit, result, strength), np.asarray(image))
            for image, unit, result in zip(images, units, restored, strict=True)
        ]

    def _restore_single(self, unit: UnitImage) -> UnitImage:
        return self._restore_group([unit])[0]

    @torch.inference_mode()
    def _restore_group(self, group: list[UnitImage]) -> list[UnitImage]:
        """Return the restored images of one size, restored at once."""
        if self.file:
            return [self.file.restore_unit(unit) for unit in group]
        batch: Tensor = torch.from_numpy(np.stack(group)).to(self.device).permute(0, 3, 1, 2).contiguous()
        restored = self._network(batch).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return list(restored)

    def _in_tiles(self, tile: int) -> Restore:
        tiling, _ = tiling_for(self.restorer, tile, min(_OVERLAP_PX, tile - 1), self.device)
        return lambda unit: restore_in_tiles(self._restore_single, unit, tiling)


def load(folder: str | Path, device: str | torch.device | None = None, plugins: Sequence[str | Path] = ()) -> Network:
    """Return the network of a trained row, ready to restore images: of a row in 8 bits the file that was scored.

    Args:
        folder: `runs/<experiment>/<row>`, of which the first finished seed is taken, or its `seed<k>`; or a safetensors
            file that `export` or `import` wrote.
        device: See `Network`.
        plugins: Python files with components of yours that the row uses.

    Raises:
        RecordError: The folder has no record of a finished row, or no readable weights, or they are damaged.
        BenchmarkError: There is no such device; of a row in 8 bits, ONNX Runtime is not installed.
    """
    restorer = load_restorer(folder, Registry(tuple(map(Path, plugins))))
    return Network(restorer, device, shipped_file(Path(folder)))


def _groups(units: list[UnitImage]) -> Iterator[list[UnitImage]]:
    """Yield neighbours of one size, as many at once as fit into `_BATCH_PIXELS`."""
    group: list[UnitImage] = []
    for unit in units:
        pixels = unit.shape[0] * unit.shape[1]
        if group and (group[0].shape != unit.shape or (len(group) + 1) * pixels > _BATCH_PIXELS):
            yield group
            group = []
        group.append(unit)
    if group:
        yield group
