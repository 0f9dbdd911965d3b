"""Other cameras and other light: brightness, contrast, saturation, hue and white balance of the whole photograph."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Augmentation, Pair, check_range, check_share, clipped_away, to_half, to_levels

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, of values as they are stored
_GREY_AXIS = np.full(3, 1 / math.sqrt(3))


class Photometric(Augmentation):
    """Degraded image and target in the same other colours, clipped to 8 bits.

    What is damage stays damage; what the skin, the light and the camera look like changes, so a network cannot learn
    that one colour of skin is right and what is redder or darker is wrong. One draw a patch, each uniform:
    `brightness`, `contrast` (about the mean luminance of the target) and `saturation` are factors, `white_balance` is
    a factor for each channel, `hue_degrees` turns the colours about the grey axis by at most so many degrees. A patch
    is changed with the given `probability`. The maps are kept: K stays, D is computed anew, and where a value is
    clipped, D makes up for it.
    """

    formula = "I' = A I + b, J' = A J + b; A: brightness, contrast, saturation, hue, white balance"

    def __init__(
        self,
        brightness: tuple[float, float] = (0.7, 1.3),
        contrast: tuple[float, float] = (0.7, 1.3),
        saturation: tuple[float, float] = (0.6, 1.5),
        white_balance: tuple[float, float] = (0.9, 1.1),
        hue_degrees: float = 15,
        probability: float = 1.0,
    ) -> None:
        factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, limits in factors.items():
            check_range(name, limits, 0, 10)
        check_range("white_balance", white_balance, 0.1, 10)
        check_share("probability", probability)
        if not 0 <= hue_degrees <= 180:
            raise ValueError(f"hue_degrees is {hue_degrees}; it must be from 0 to 180")
        self._brightness, self._contrast, self._saturation = brightness, contrast, saturation
        self._white_balance, self._hue_degrees = white_balance, hue_degrees
        self._probability = probability

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the pair in other colours, maps kept, or the same pair."""
        if rng.random() >= self._probability:
            return pair
        matrix, contrast = self._draw(rng)
        pivot = float(pair.target.mean(axis=(0, 1)) @ (matrix.T @ _LUMINANCE))
        offset = np.float32((1 - contrast) * pivot)
        matrix = np.float32(contrast) * matrix
        degraded = pair.degraded.astype(np.float32) @ matrix.T + offset
        target = pair.target.astype(np.float32) @ matrix.T + offset
        changed = replace(pair, degraded=to_levels(degraded), target=to_levels(target))
        if pair.gain is None or pair.spots is None:
            return changed
        gain = pair.gain.astype(np.float32)
        # A ((1 + K) I + D) + b = (1 + K) (A I + b) + D' gives D'; I in [0, 1].
        restored = (1 + gain) * (pair.degraded / np.float32(255)) + pair.spots.astype(np.float32)
        spots = restored @ matrix.T + offset / 255 - (1 + gain) * degraded / 255
        spots += (1 + gain) * clipped_away(degraded) - clipped_away(target)
        return replace(changed, spots=to_half(spots))

    def _draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        """Return the matrix that changes colours and brightness, `3 3`, and the factor of the contrast."""
        turn = math.radians(rng.uniform(-self._hue_degrees, self._hue_degrees))
        saturation = rng.uniform(*self._saturation)
        grey = np.outer(np.ones(3), _LUMINANCE)
        colours = saturation * np.eye(3) + (1 - saturation) * grey
        balance = rng.uniform(*self._brightness) * rng.uniform(*self._white_balance, 3)
        matrix = np.diag(balance) @ colours @ _rotation(turn)
        return matrix.astype(np.float32), float(rng.uniform(*self._contrast))


def _rotation(angle: float) -> NDArray[np.float64]:
    """Return the rotation about the grey axis by `angle` radians, `3 3` (Rodrigues' formula)."""
    x, y, z = _GREY_AXIS
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
