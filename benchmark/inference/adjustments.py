"""Ways to use a network beyond one call: averaged over the eight orientations of the image, or at part strength."""

from collections.abc import Callable

import numpy as np

from benchmark.inference.pixels import UnitImage

Restore = Callable[[UnitImage], UnitImage]
"""From a degraded image `H W 3` in [0, 1] to the restored one."""


def averaged_over_orientations(restore: Restore) -> Restore:
    """Return a function that restores an image mirrored and turned in all eight ways, and averages the results.

    The self-ensemble of EDSR (Lim et al., CVPRW 2017, section 3.4): eight times the work, for results that do not
    depend on the orientation.
    """

    def restore_all(image: UnitImage) -> UnitImage:
        total = np.zeros(image.shape, np.float32)
        for mirrored in (False, True):
            for turns in range(4):
                view = np.ascontiguousarray(np.rot90(image[:, ::-1] if mirrored else image, turns))
                upright = np.rot90(restore(view), -turns)
                total += upright[:, ::-1] if mirrored else upright
        return (total / 8).astype(np.float32)

    return restore_all


def blended(degraded: UnitImage, restored: UnitImage, strength: float) -> UnitImage:
    """Return the image between a degraded one (strength 0) and the restored one (strength 1)."""
    return restored if strength == 1 else (degraded + strength * (restored - degraded)).astype(np.float32)
