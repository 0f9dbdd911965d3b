"""Where the face is: coordinates of pixels, windows onto the picture, and smooth bumps on the face.

Lengths are in face units: half the width of the face, 70 mm, is 1; the origin is between the eyes and the nose, `v`
points down.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.synthetic_faces.attributes import Pose
from benchmark.synthetic_faces.raster import Field, Window

HALF_WIDTH_MM = 70.0
SIDES = (-1, 1)
_YAW_SLIDE, _YAW_RADIUS = 0.9, 1.1  # how far features slide over the head when it turns
_BUMP_REACH = 3.5  # standard widths; exp(-3.5^2) is below one grey level of anything drawn
_Number = TypeVar("_Number", float, NDArray[np.float64])


@dataclass(frozen=True)
class Frame:
    """A window of the picture with the face coordinates of its pixels, each `H W`.

    `across` and `v` are fixed to the silhouette; `u` slides with the turn of the head, as the features do.
    """

    pose: Pose
    size: int
    top: int
    left: int
    across: Field
    u: Field
    v: Field

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.v.shape[0], self.v.shape[1]

    @property
    def face_px(self) -> float:
        """Pixels in one face unit."""
        return self.pose.half_width * self.size

    @property
    def pixels_per_mm(self) -> float:
        """Pixels in one millimetre of the face."""
        return self.face_px / HALF_WIDTH_MM

    def pixels(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y, in pixels of this frame, of points given in face units."""
        slide = self.pose.yaw * _YAW_SLIDE * np.sqrt(np.clip(1 - (u / _YAW_RADIUS) ** 2, 0, 1))
        x, y = self._turned(u + slide, v)
        return x + self.pose.centre_x * self.size - self.left, y + self.pose.centre_y * self.size - self.top

    def window(self, u: float, v: float, reach_u: float, reach_v: float) -> Window:
        """Return the pixels within `reach` of a point, in either coordinate; empty if they are outside the frame."""
        pose = self.pose
        slide = pose.yaw * _YAW_SLIDE / 2  # `across` is between u and u + 2 * slide
        x, y = self._turned(u + slide, v)
        along, down = self._turned(reach_u + abs(slide), 0), self._turned(0, reach_v)
        half_width, half_height = abs(along[0]) + abs(down[0]), abs(along[1]) + abs(down[1])
        height, width = self.shape
        rows = _span(y + pose.centre_y * self.size - self.top, half_height, height)
        return rows, _span(x + pose.centre_x * self.size - self.left, half_width, width)

    def _turned(self, across: _Number, v: _Number) -> tuple[_Number, _Number]:
        """Return x and y of a point, in pixels from the centre of the face."""
        cos, sin = self.face_px * math.cos(self.pose.tilt), self.face_px * math.sin(self.pose.tilt)
        return across * cos - v * sin, across * sin + v * cos

    def crop(self, window: Window) -> "Frame":
        """Return the frame of one of its windows."""
        return replace(
            self,
            top=self.top + window[0].start,
            left=self.left + window[1].start,
            across=self.across[window],
            u=self.u[window],
            v=self.v[window],
        )


def _span(centre: float, half: float, length: int) -> slice:
    start = int(np.clip(np.floor(centre - half), 0, length))
    return slice(start, int(np.clip(np.ceil(centre + half) + 1, start, length)))


def is_empty(window: Window) -> bool:
    """Return whether a window shows no pixel."""
    return any(span.stop <= span.start for span in window)


def picture_frame(pose: Pose, size: int) -> Frame:
    """Return the frame of the whole square picture."""
    face_px = pose.half_width * size
    pixel = np.arange(size, dtype=np.float32)
    dx, dy = (
        (pixel[None, :] - pose.centre_x * size) / face_px,
        (pixel[:, None] - pose.centre_y * size) / face_px,
    )
    cos, sin = float(np.cos(pose.tilt)), float(np.sin(pose.tilt))
    across, v = dx * cos + dy * sin, dy * cos - dx * sin
    slide = pose.yaw * _YAW_SLIDE * np.sqrt(np.clip(1 - (across / _YAW_RADIUS) ** 2, 0, 1))
    return Frame(pose, size, 0, 0, across, across - slide, v)


@dataclass(frozen=True)
class Bump:
    """A Gaussian `amount * exp(-((u - u0) / width)^2 - ((v - v0) / height)^2)`, in face units."""

    u: float
    v: float
    width: float
    height: float
    amount: float = 1.0


def both_sides(*bumps: Bump) -> Iterator[Bump]:
    """Yield each bump and its mirror image."""
    for bump in bumps:
        yield bump
        yield replace(bump, u=-bump.u)


def bump_field(frame: Frame, bumps: Iterable[Bump]) -> Field:
    """Return the sum of bumps over the frame; each is computed only in its window."""
    field = np.zeros(frame.shape, np.float32)
    for bump in bumps:
        window = frame.window(bump.u, bump.v, _BUMP_REACH * bump.width, _BUMP_REACH * bump.height)
        u, v = frame.u[window], frame.v[window]
        distance = ((u - bump.u) / bump.width) ** 2 + ((v - bump.v) / bump.height) ** 2
        field[window] += bump.amount * np.exp(-distance)
    return field
