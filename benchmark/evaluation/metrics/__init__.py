"""Metrics of a restored image, one a file: the contract, and what several metrics share.

A short name means one recipe: RGB, clamped and rounded to 8 bits, full image, no border cut. Another convention has a
name of its own (`psnr_y`), and its formula says what differs. The metrics of `reports.metrics.IMAGE_METRICS` score
every row; those of the other files are scored where an experiment names them, and declare their facts themselves.
"""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from benchmark.data import damage_mask
from benchmark.errors import DataError
from reports.metrics import IMAGE_METRICS, Direction

Image = NDArray[np.uint8]
"""`H W 3`, RGB."""
Mask = NDArray[np.bool_]
"""`H W`."""
Value = TypeVar("Value")

Need = Literal["target", "degraded", "mask", "skin", "skin_tone"]
"""What a metric reads beside the restored image. Every pair has the first three, some sources know the others."""

DILATION_PX: Final = 2


class Metric(ABC):
    """One number for one restored image.

    A metric of your own is a file with one subclass, given by `--plugin FILE`. Its name is the name of the file.

    Attributes:
        unit: Empty for a pure number.
        direction: Which values are better: `higher`, `lower` or `near 1`.
        formula: What is computed, in one line.
        min_side: Smallest side, in pixels, of an image that it can be computed on.
        needs: What it reads beside the restored image. An image that lacks one of these has no value.
        decimals: Decimals of its values in tables.
    """

    unit: ClassVar[str] = ""
    needs: ClassVar[tuple[Need, ...]] = ("target", "degraded", "mask")
    decimals: ClassVar[int] = 4
    min_side: ClassVar[int] = 1
    direction: ClassVar[Direction]
    formula: ClassVar[str]

    @abstractmethod
    def score(self, restored: Image, target: Image, degraded: Image, mask: Mask) -> float | None:
        """Return the metric of a restored image.

        Args:
            restored: The restored image, `H W 3` uint8.
            target: The true image, of the same size.
            degraded: The image that was restored, of the same size.
            mask: The damaged pixels, `H W`, as `find_spots` gives them.

        Returns:
            A finite number, or None if the image has no pixels that the metric applies to.
        """


def builtin_facts(name: str) -> tuple[str, Direction, str]:
    """Return unit, direction and formula of a metric that scores every row."""
    metric = IMAGE_METRICS[name]
    return metric.unit, metric.direction, metric.formula


@dataclass(frozen=True, eq=False)
class ImageComparison:
    """A restored image beside its pair, with computations that several metrics share, each made once.

    Attributes:
        restored: The restored image, `H W 3`.
        target: The true image.
        degraded: The image that was restored.
        skin: True where the skin is bare, `H W`; None where the source does not know it.
        skin_tone: Typology angle of the face in degrees; None where the source does not know it.

    Raises:
        DataError: The images are not uint8 `H W 3` of one size.
    """

    restored: Image
    target: Image
    degraded: Image
    skin: Mask | None = None
    skin_tone: float | None = None
    _values: dict[Callable[[Any], Any], Any] = field(default_factory=dict[Callable[[Any], Any], Any])

    def __post_init__(self) -> None:
        """Check that the images can be compared."""
        images = (self.restored, self.degraded, self.target)
        kinds = [f"{image.dtype} {' x '.join(map(str, image.shape))}" for image in images]
        if len(set(kinds)) > 1 or self.target.dtype != np.uint8 or self.target.ndim != 3 or self.target.shape[2] != 3:
            raise DataError(
                f"restored, degraded and target must be uint8 H x W x 3 of one size, not {', '.join(kinds)}"
            )

    @cached_property
    def mask(self) -> Mask:
        """The spots, `H W`; see `find_spots`."""
        return find_spots(self.degraded, self.target)

    @cached_property
    def error(self) -> NDArray[np.int32]:
        """Absolute difference of restored and target image, `H W 3`."""
        return np.abs(self.restored.astype(np.int32) - self.target)

    @cached_property
    def damage(self) -> NDArray[np.int32]:
        """Absolute difference of degraded and target image, `H W 3`."""
        return np.abs(self.degraded.astype(np.int32) - self.target)

    def lacks(self, needs: tuple[Need, ...]) -> list[Need]:
        """Return what is not known of this image among what a metric needs."""
        unknown: dict[Need, bool] = {"skin": self.skin is None, "skin_tone": self.skin_tone is None}
        return [need for need in needs if unknown.get(need)]

    def shared(self, compute: "Callable[[ImageComparison], Value]") -> Value:
        """Return `compute(self)`, computed only the first time that any metric asks for it."""
        if compute not in self._values:
            self._values[compute] = compute(self)
        return self._values[compute]


class ComparisonMetric(Metric):
    """A metric that reads an `ImageComparison`: it may share computations with others, and read skin and skin tone."""

    def score(self, restored: Image, target: Image, degraded: Image, mask: Mask) -> float | None:
        """Return the metric of a restored image; see `Metric.score`."""
        return self.compute(ImageComparison(restored, target, degraded))

    @abstractmethod
    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the metric of a comparison; None if it has no pixels that the metric applies to."""


def find_spots(degraded: Image, target: Image) -> Mask:
    """Return the spots of a pair, `H W`: damaged pixels, and all within 2 rows and 2 columns of one.

    The threshold is the rule of the reference solution; the dilation adds the soft edge of a spot. The rest of the
    image is the background.
    """
    dilated = maximum_filter(damage_mask(degraded, target), size=2 * DILATION_PX + 1, mode="constant")
    return np.asarray(dilated, dtype=np.bool_)


def sum_over(values: NDArray[np.int32], region: Mask) -> int:
    """Return the exact sum of `H W 3` values over the pixels of a region and the three channels."""
    return int((values * region[..., None]).sum(dtype=np.int64))
