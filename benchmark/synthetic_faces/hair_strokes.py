"""Brows and lashes: single hairs as lines, drawn at twice the resolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark.synthetic_faces.colour import Field
from benchmark.synthetic_faces.eyes import TILT, upper_lid
from benchmark.synthetic_faces.geometry import SIDES, FaceShape, Frame, Window

_SUPERSAMPLING = 2
_HAIRS_PER_BROW, _LASHES_PER_EYE = 330, 46
_BROW_HAIR_WIDTH, _LASH_WIDTH = 0.0042, 0.0032  # face units: 0.3 and 0.2 mm
_BROW_V = -0.415


@dataclass(frozen=True)
class _Hairs:
    """Hairs of one side of the face: lines from (u0, v0) to (u1, v1), their width in face units and darkness."""

    u0: NDArray[np.float64]
    v0: NDArray[np.float64]
    u1: NDArray[np.float64]
    v1: NDArray[np.float64]
    darkness: NDArray[np.float64]
    width: float


def draw_strokes(rng: np.random.Generator, frame: Frame, shape: FaceShape) -> tuple[Window, Field]:
    """Brows and lashes in their window of the frame, `H W` in [0, 1]."""
    window = frame.window(0, -0.38, 0.95, 0.34)
    part = frame.crop(window)
    height, width = part.shape
    sheet = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING), 0)
    pen = ImageDraw.Draw(sheet)
    for side in SIDES:
        _draw(pen, part, _brow(rng, shape, side))
        _draw(pen, part, _lashes(rng, shape, side))
    return window, np.asarray(sheet.resize((width, height), Image.Resampling.LANCZOS), np.float32) / 255


def _draw(pen: ImageDraw.ImageDraw, part: Frame, hairs: _Hairs) -> None:
    x0, y0 = part.pixels(hairs.u0, hairs.v0)
    x1, y1 = part.pixels(hairs.u1, hairs.v1)
    lines = (np.stack([x0, y0, x1, y1], 1) * _SUPERSAMPLING).tolist()
    width = max(1, round(hairs.width * part.face_px * _SUPERSAMPLING))
    for line, darkness in zip(lines, hairs.darkness.astype(int).tolist(), strict=True):
        pen.line(line, fill=darkness, width=width)


def _brow(rng: np.random.Generator, s: FaceShape, side: int) -> _Hairs:
    count = _HAIRS_PER_BROW
    along = rng.random(count)  # 0 at the nose, 1 at the temple
    arch = s.brow_arch * np.sin(np.pi * np.minimum(1.15 * along, 1)) - 0.06 * np.maximum(along - 0.72, 0)
    scatter = rng.normal(0, 0.36 * s.brow_thickness, count) * (1.1 - 0.75 * along)
    u, v = side * (s.eye_u - 0.21 + 0.47 * along), _BROW_V - arch + scatter
    angle = np.deg2rad(70 - 78 * along + rng.normal(0, 9, count))
    length = rng.uniform(0.035, 0.075, count)
    tip_u, tip_v = u + side * length * np.cos(angle), v - 0.75 * length * np.sin(angle)
    return _Hairs(u, v, tip_u, tip_v, rng.uniform(90, 215, count), _BROW_HAIR_WIDTH)


def _lashes(rng: np.random.Generator, s: FaceShape, side: int) -> _Hairs:
    count = _LASHES_PER_EYE
    along = rng.uniform(-1, 1, count)
    u = side * s.eye_u + along * s.eye_width
    v = s.eye_v + upper_lid(along, s.eye_height) - side * TILT * along * s.eye_width
    length = rng.uniform(0.03, 0.06, count) * (0.6 + 0.4 * np.abs(along))
    return _Hairs(u, v, u + 0.6 * length * along, v - length, rng.uniform(80, 190, count), _LASH_WIDTH)
