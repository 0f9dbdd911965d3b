"""Where the face is: pose, proportions, coordinates of pixels, and windows onto the picture.

Lengths are in face units: half the width of the face, 70 mm, is 1; the origin is between the eyes and the nose, `v`
points down.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.synthetic_faces.colour import Field

HALF_WIDTH_MM = 70.0
SIDES = (-1, 1)
_YAW_SLIDE, _YAW_RADIUS = 0.9, 1.1  # how far features slide over the head when it turns
_BUMP_REACH = 3.5  # standard widths; exp(-3.5^2) is below one grey level of anything drawn

_Number = TypeVar("_Number", float, NDArray[np.float64])

Window = tuple[slice, slice]
"""Rows and columns of a part of a picture."""


@dataclass(frozen=True)
class Pose:
    """The head in the picture: lengths in parts of the picture's side, angles in radians."""

    half_width: float
    centre_x: float
    centre_y: float
    tilt: float
    yaw: float


@dataclass(frozen=True)
class FaceShape:
    """Proportions of a face, in face units; `eye_width` and `mouth_width` are halves."""

    eye_u: float
    eye_v: float
    eye_width: float
    eye_height: float
    nose_v: float
    nose_width: float
    mouth_v: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    jaw_power: float
    brow_thickness: float
    brow_arch: float


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
        """x and y, in pixels of this frame, of points given in face units."""
        slide = self.pose.yaw * _YAW_SLIDE * np.sqrt(np.clip(1 - (u / _YAW_RADIUS) ** 2, 0, 1))
        x, y = self._turned(u + slide, v)
        return x + self.pose.centre_x * self.size - self.left, y + self.pose.centre_y * self.size - self.top

    def window(self, u: float, v: float, reach_u: float, reach_v: float) -> Window:
        """The pixels within `reach` of a point, in either coordinate; empty if they are outside the frame."""
        pose = self.pose
        slide = pose.yaw * _YAW_SLIDE / 2  # `across` is between u and u + 2 * slide
        x, y = self._turned(u + slide, v)
        along, down = self._turned(reach_u + abs(slide), 0), self._turned(0, reach_v)
        half_width, half_height = abs(along[0]) + abs(down[0]), abs(along[1]) + abs(down[1])
        height, width = self.shape
        rows = _span(y + pose.centre_y * self.size - self.top, half_height, height)
        return rows, _span(x + pose.centre_x * self.size - self.left, half_width, width)

    def _turned(self, across: _Number, v: _Number) -> tuple[_Number, _Number]:
        """x and y of a point, in pixels from the centre of the face."""
        cos, sin = self.face_px * math.cos(self.pose.tilt), self.face_px * math.sin(self.pose.tilt)
        return across * cos - v * sin, across * sin + v * cos

    def crop(self, window: Window) -> "Frame":
        """The frame of one of its windows."""
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
    """Whether a window shows no pixel."""
    return any(span.stop <= span.start for span in window)


def picture_frame(pose: Pose, size: int) -> Frame:
    """The frame of the whole square picture."""
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
    """Each bump and its mirror image."""
    for bump in bumps:
        yield bump
        yield replace(bump, u=-bump.u)


def bump_field(frame: Frame, bumps: Iterable[Bump]) -> Field:
    """Sum of bumps over the frame, each computed only where it is."""
    field = np.zeros(frame.shape, np.float32)
    for bump in bumps:
        window = frame.window(bump.u, bump.v, _BUMP_REACH * bump.width, _BUMP_REACH * bump.height)
        u, v = frame.u[window], frame.v[window]
        distance = ((u - bump.u) / bump.width) ** 2 + ((v - bump.v) / bump.height) ** 2
        field[window] += bump.amount * np.exp(-distance)
    return field


def choose_pose(rng: np.random.Generator) -> Pose:
    """From the whole head (0.27 of the side) to a face that fills the picture (0.49)."""
    return Pose(
        half_width=rng.uniform(0.27, 0.49),
        centre_x=rng.uniform(0.46, 0.54),
        centre_y=rng.uniform(0.50, 0.56),
        tilt=rng.normal(0, 0.06),
        yaw=rng.normal(0, 0.10),
    )


def choose_shape(rng: np.random.Generator) -> FaceShape:
    """Proportions around those of an average adult face."""

    def around(mean: float, spread: float) -> float:
        return mean * (1 + float(np.clip(rng.normal(0, spread), -3 * spread, 3 * spread)))

    return FaceShape(
        eye_u=around(0.40, 0.04),
        eye_v=-0.20 + rng.normal(0, 0.015),
        eye_width=around(0.185, 0.06),
        eye_height=around(0.075, 0.18),
        nose_v=around(0.30, 0.08),
        nose_width=around(0.17, 0.15),
        mouth_v=around(0.64, 0.03),
        mouth_width=around(0.31, 0.10),
        upper_lip=around(0.078, 0.2),
        lower_lip=around(0.108, 0.2),
        jaw_power=rng.uniform(2.05, 2.9) + 3 * rng.uniform(-0.06, 0.10),
        brow_thickness=around(0.045, 0.25),
        brow_arch=around(0.05, 0.3),
    )
