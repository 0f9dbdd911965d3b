"""Floor rows: what restores without a network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.morphology import closing

from benchmark.data import Pair
from benchmark.errors import DataError
from benchmark.evaluation.baselines import BASELINE_FITS, CLOSING_SIZE_PX, fit_lines
from reports.schema import BASELINES


def random_pairs(count=3, seed=0, low=0, high=256):
    """Pairs of noise, each of another size."""
    rng = np.random.default_rng(seed)
    shapes = [(6 + index, 9, 3) for index in range(count)]
    images = [rng.integers(low, high, (2, *shape)).astype(np.uint8) for shape in shapes]
    return [Pair(f"{index}", *image) for index, image in enumerate(images)]


def test_identity_returns_the_image():
    """The identity floor gives back the pixels, in an array of its own."""
    image = random_pairs()[0].degraded
    restored = BASELINE_FITS["identity"]([])(image)
    assert np.array_equal(restored, image)
    assert not np.shares_memory(restored, image)


def test_affine_fits_all_pixels_by_least_squares():
    """Gain and offset of each channel are those of numpy's fit to the pixels of all pairs together."""
    pairs = random_pairs()
    for channel, (gain, offset) in enumerate(fit_lines(iter(pairs))):
        x, y = (
            np.concatenate([getattr(pair, name)[..., channel].ravel() for pair in pairs])
            for name in ("degraded", "target")
        )
        expected = np.polynomial.Polynomial.fit(x.astype(float), y.astype(float), 1).convert().coef
        assert [offset, gain] == pytest.approx(expected, abs=1e-9)


@given(
    gain=st.floats(0.5, 1.5),
    offset=st.integers(-20, 20),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_affine_undoes_a_tint(gain, offset, seed):
    """Where the target is a line of the degraded image, it is found to within a level, another for each channel."""
    gains, offsets = np.array([gain, 1.0, 2 - gain]), np.array([offset, 0, -offset])
    pairs = [
        Pair(pair.name, pair.degraded, np.rint(pair.degraded * gains + offsets).astype(np.uint8))
        for pair in random_pairs(seed=seed, low=45, high=150)
    ]
    restore = BASELINE_FITS["affine"](pairs)
    for pair in pairs:
        restored = restore(pair.degraded)
        assert restored.dtype == np.uint8
        assert np.abs(restored.astype(int) - pair.target).max() <= 1


def test_affine_stays_in_8_bits():
    """A line that leaves 0..255 is cut off, not wrapped around."""
    ramp = np.repeat(np.arange(60, 180, dtype=np.uint8).reshape(10, 12, 1), 3, axis=2)
    restore = BASELINE_FITS["affine"]([Pair("ramp", ramp, ((ramp.astype(int) - 60) * 2).astype(np.uint8))])
    black_to_white = np.repeat(np.array([[0, 255]], np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(restore(black_to_white), black_to_white)


def test_affine_of_a_flat_channel_keeps_its_gain():
    """A channel of one value gives no slope: gain 1, and the offset that is right for that value."""
    shape = (4, 4, 3)
    lines = fit_lines([Pair("flat", np.full(shape, 90, np.uint8), np.full(shape, 97, np.uint8))])
    assert lines == [(1.0, 7.0)] * 3


def test_affine_reads_pairs_one_at_a_time():
    """The fit takes a stream and holds no earlier pair while it reads the next."""
    alive = []

    def stream():
        for pair in random_pairs(4):
            assert alive == []
            alive.append(pair.name)
            yield pair
            alive.remove(pair.name)

    assert fit_lines(stream()) == fit_lines(random_pairs(4))


def test_affine_without_pairs_is_an_error():
    """No pairs to fit on is an error the user can mend."""
    with pytest.raises(DataError, match="at least one pair"):
        BASELINE_FITS["affine"]([])


def test_closing_agrees_with_skimage():
    """The closing is that of skimage with a square, channel by channel, away from the border."""
    image = np.random.default_rng(0).integers(0, 256, (30, 26, 3)).astype(np.uint8)
    square = np.ones((CLOSING_SIZE_PX, CLOSING_SIZE_PX), np.uint8)
    expected = np.stack([closing(image[..., channel], square) for channel in range(3)], axis=-1)
    inside = (slice(CLOSING_SIZE_PX, -CLOSING_SIZE_PX),) * 2
    assert np.array_equal(BASELINE_FITS["closing"]([])(image)[inside], expected[inside])


@pytest.mark.parametrize(("width", "filled"), [(CLOSING_SIZE_PX - 1, True), (CLOSING_SIZE_PX, False)])
def test_closing_fills_small_dark_spots(width, filled):
    """A dark square narrower than the closing vanishes, one as wide stays; a bright one stays in any case."""
    restore = BASELINE_FITS["closing"]([])
    image = np.full((24, 24, 3), 150, np.uint8)
    image[8 : 8 + width, 8 : 8 + width] = (90, 60, 60)
    assert (restore(image) == 150).all() == filled
    bright = 255 - image
    assert np.array_equal(restore(bright), bright)


@pytest.mark.parametrize("name", [*BASELINES, "non_local_means", "bilateral"])
def test_floors_keep_size_and_type(name):
    """Every floor gives uint8 of the size it got and leaves its input alone."""
    pairs = random_pairs()
    image = pairs[0].degraded
    before = image.copy()
    restored = BASELINE_FITS[name](pairs)(image)
    assert restored.shape == image.shape
    assert restored.dtype == np.uint8
    assert np.array_equal(image, before)
