"""The shift between the images of a pair."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import fourier_shift

from benchmark.audit.registration import COHERENT, DETECTABLE_PX, Shift, find_shift
from benchmark.data import Pair
from benchmark.data.sources.synthetic_faces import SyntheticFaces

_MARGIN_PX = 16


@pytest.fixture(scope="module")
def spotted() -> list[Pair]:
    """Drawn faces with the severe preset's spots."""
    source = SyntheticFaces(preset="severe", count=4, size=256, seed=11)
    return [source.read(index) for index in range(len(source))]


def shifted(image: np.ndarray, down: float, right: float) -> np.ndarray:
    """The image moved by parts of a pixel, through its Fourier transform."""
    padded = np.pad(image.astype(float), ((_MARGIN_PX, _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX), (0, 0)), mode="reflect")
    moved = [np.fft.ifft2(fourier_shift(np.fft.fft2(padded[..., c]), (down, right))).real for c in range(3)]
    inside = np.stack(moved, -1)[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
    return np.clip(np.round(inside), 0, 255).astype(np.uint8)


def measured(degraded: np.ndarray, target: np.ndarray) -> Shift:
    found = find_shift(degraded, target)
    assert found is not None
    return found


@pytest.mark.parametrize(("down", "right"), [(0.25, 0.0), (0.5, -0.25), (0.0, 1.0), (2.3, -1.1), (9.4, 12.7)])
def test_known_shifts_are_found_through_spots(spotted: list[Pair], down: float, right: float) -> None:
    """A shift of parts of a pixel is measured to 0.05 px although the degraded image has severe spots."""
    for pair in spotted:
        found = measured(shifted(pair.degraded, down, right), pair.target)
        assert np.hypot(found.down_px - down, found.right_px - right) < 0.05
        assert found.is_seen


def test_pairs_that_lie_on_each_other_give_no_alarm(spotted: list[Pair]) -> None:
    """Spots, gain and noise alone stay well below the shift that is reported."""
    for pair in spotted:
        assert measured(pair.degraded, pair.target).pixels < DETECTABLE_PX / 3
        dimmed = np.uint8(0.7 * pair.degraded)
        assert measured(dimmed, pair.target).pixels < DETECTABLE_PX / 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda image: image.resize((64, 64), Image.Resampling.BICUBIC).resize((256, 256), Image.Resampling.BICUBIC),
        lambda image: image.filter(ImageFilter.GaussianBlur(8)),
        lambda image: image.filter(ImageFilter.GaussianBlur(2)),
        lambda image: Image.fromarray(
            np.clip(image + np.random.default_rng(0).normal(0, 50, (256, 256, 3)), 0, 255).astype(np.uint8)
        ),
    ],
    ids=["resampled", "blurred", "softened", "noisy"],
)
def test_what_only_lacks_detail_is_not_shifted(
    spotted: list[Pair], spoil: Callable[[Image.Image], Image.Image]
) -> None:
    """Reduced and enlarged, blurred and noisy images lie where their targets lie."""
    for pair in spotted:
        spoilt = np.asarray(spoil(Image.fromarray(pair.target)))
        assert not measured(spoilt, pair.target).is_seen


def test_different_pictures_are_not_called_shifted(spotted: list[Pair]) -> None:
    """Two different faces have no coherence worth the name; a pair has."""
    for one, other in pairwise(spotted):
        assert measured(one.degraded, other.target).coherence < COHERENT < measured(one.degraded, one.target).coherence


def test_without_structure_there_is_no_answer() -> None:
    """Flat images and images below 32 px have no shift."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (31, 64, 3)).astype(np.uint8)
    flat, noisy = np.full((64, 64, 3), 80, np.uint8), rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    assert find_shift(small, small) is None
    assert find_shift(flat, noisy) is None
