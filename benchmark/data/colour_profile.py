"""Colour profiles (ICC.1:2022) of photographs: from their numbers to sRGB, in which networks are trained, and back.

Read are profiles of a matrix and curves, as cameras, phones and editors embed them (Display P3, Adobe RGB, ProPhoto),
and those of grey images. Profiles of tables, as printers and scanners have them, are not.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
"""Numbers of an image in [0, 1], `H W 3`."""

# sRGB's primaries, adapted to the white D50 of profiles by Bradford's matrix; columns are R, G, B.
_SRGB_TO_XYZ: Final = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_XYZ_TO_SRGB: Final = np.linalg.inv(_SRGB_TO_XYZ)
_SAME_MATRIX, _SAME_CURVE = 2e-3, 2e-3
"""Within which a profile is sRGB: less than half of an 8-bit level."""
_SAMPLES: Final = 4096
"""Of curves that are inverted, evenly spaced in the numbers of the image."""
_ROWS = 256
"""Converted at a time, so that a large photograph needs little memory."""
_CURVE_PARAMETERS: Final = (1, 3, 4, 5, 7)
"""Numbers of parameters, by the type of a parametric curve."""


@dataclass(frozen=True)
class ColourProfile:
    """What the numbers of an image mean.

    Attributes:
        curves: For R, G and B, or thrice the same for grey: linear light at `_SAMPLES` evenly spaced numbers.
        to_xyz: From linear R, G, B to X, Y, Z relative to D50; None for grey.
    """

    curves: tuple[NDArray[np.float64], ...]
    to_xyz: NDArray[np.float64] | None

    @property
    def is_srgb(self) -> bool:
        """Whether numbers mean what they mean in sRGB."""
        matrix = _SRGB_TO_XYZ if self.to_xyz is None else self.to_xyz
        srgb = _srgb_to_linear(_numbers())
        return float(np.abs(matrix - _SRGB_TO_XYZ).max()) < _SAME_MATRIX and all(
            float(np.abs(curve - srgb).max()) < _SAME_CURVE for curve in self.curves
        )

    def to_srgb(self, values: Values) -> Values:
        """Return numbers of this profile as sRGB; colours beyond it are clipped to its border."""
        return _by_rows(values, self._rows_to_srgb)

    def from_srgb(self, values: Values) -> Values:
        """Return sRGB as numbers of this profile."""
        return _by_rows(values, self._rows_from_srgb)

    def _rows_to_srgb(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        channels = [np.interp(rows[..., at], _numbers(), curve) for at, curve in enumerate(self.curves)]
        linear = np.stack(channels, axis=-1)
        if self.to_xyz is not None:
            linear = linear @ (_XYZ_TO_SRGB @ self.to_xyz).T
        return _linear_to_srgb(linear.clip(0, 1))

    def _rows_from_srgb(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        linear = _srgb_to_linear(rows)
        if self.to_xyz is not None:
            linear = linear @ (np.linalg.inv(self.to_xyz) @ _SRGB_TO_XYZ).T
        # A curve may be flat at its ends; `interp` needs values that do not fall.
        channels = [np.interp(linear[..., at], curve, _numbers()) for at, curve in enumerate(self.curves)]
        return np.stack(channels, axis=-1)


def read_profile(content: bytes, space: Literal["RGB", "GRAY"]) -> ColourProfile | None:
    """Return the profile in `content`; None where it is no matrix or grey profile of this space, or is damaged."""
    with suppress(struct.error, KeyError, ValueError, IndexError, np.linalg.LinAlgError):
        if content[16:20].decode("ascii", "replace").strip() != space:
            return None
        tags = _tags(content)
        if space == "GRAY":
            return ColourProfile((_curve(tags["kTRC"]),) * 3, None)
        if content[20:24] != b"XYZ ":
            return None
        matrix = np.stack([_numbers_of(tags[f"{channel}XYZ"], 8, 3) for channel in "rgb"], axis=1)
        np.linalg.inv(matrix)
        return ColourProfile(tuple(_curve(tags[f"{channel}TRC"]) for channel in "rgb"), matrix)
    return None


def _tags(content: bytes) -> dict[str, bytes]:
    (count,) = struct.unpack_from(">I", content, 128)
    tags: dict[str, bytes] = {}
    for index in range(min(count, 100)):
        name, start, length = struct.unpack_from(">4sII", content, 132 + 12 * index)
        tags[name.decode("ascii", "replace")] = content[start : start + length]
    return tags


def _numbers_of(tag: bytes, start: int, count: int) -> NDArray[np.float64]:
    """Return numbers in the format s15Fixed16."""
    return np.array(struct.unpack_from(f">{count}i", tag, start), np.float64) / 65536


def _curve(tag: bytes) -> NDArray[np.float64]:
    """Return a tone curve at `_SAMPLES` numbers.

    Raises:
        ValueError: It is of an unknown kind, or falls, so that it has no inverse.
    """
    numbers = _numbers()
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        curve = _parametric(kind, _numbers_of(tag, 12, _CURVE_PARAMETERS[kind]), numbers)
    elif tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        entries = np.array(struct.unpack_from(f">{count}H", tag, 12), np.float64)
        if count == 0:
            curve = numbers
        elif count == 1:
            curve = numbers ** (entries[0] / 256)
        else:
            curve = np.interp(numbers, np.linspace(0, 1, count), entries / 65535)
    else:
        raise ValueError("no curve")
    if not np.isfinite(curve).all() or (np.diff(curve) < 0).any() or curve[0] == curve[-1]:
        raise ValueError("a curve without inverse")
    return curve.clip(0, 1)


def _parametric(kind: int, parameters: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a parametric curve (ICC.1:2022, table 68): a power, above a breakpoint, and a line below it."""
    g, a, b, c, d, e, f = (*parameters, *np.zeros(7 - len(parameters)))
    if kind == 0:
        return x**g
    power = np.maximum(a * x + b, 0) ** g
    if kind in (1, 2):  # flat below the breakpoint -b / a, on a level c that kind 2 has
        return np.where(x >= -b / a, power + c, c)
    return np.where(x >= d, power + e, c * x + f)


def _numbers() -> NDArray[np.float64]:
    return np.linspace(0, 1, _SAMPLES)


def _srgb_to_linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.04045, values / 12.92, ((values.clip(0) + 0.055) / 1.055) ** 2.4)


def _linear_to_srgb(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values.clip(0) ** (1 / 2.4) - 0.055)


def _by_rows(values: Values, convert: Callable[[NDArray[Any]], NDArray[np.float64]]) -> Values:
    converted = np.empty(values.shape, np.float32)
    for start in range(0, len(values), _ROWS):
        rows = values[start : start + _ROWS].astype(np.float64)
        converted[start : start + _ROWS] = convert(rows)
    return converted
