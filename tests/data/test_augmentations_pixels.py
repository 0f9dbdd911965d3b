"""channel_gain, jpeg, cutblur, mixup: against closed forms on flat images and on a face."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.data import Pair
from benchmark.data.augmentations.channel_gain import ChannelGain
from benchmark.data.augmentations.cutblur import Cutblur
from benchmark.data.augmentations.jpeg import Jpeg
from benchmark.data.augmentations.mixup import Mixup
from benchmark.data.augmentations.photometric import Photometric
from benchmark.data.sources.synthetic_faces import SyntheticFaces

seeds = given(seed=st.integers(0, 2**32 - 1))


def flat(degraded, target, *, side=20, gain=None, spots=None, name="flat"):
    """A pair of one colour, with maps of one value if given."""
    images = [np.full((side, side, 3), level, np.uint8) for level in (degraded, target)]
    maps = [None if value is None else np.full((side, side, 3), value, np.float16) for value in (gain, spots)]
    return Pair(name, *images, *maps)


@pytest.fixture(scope="module")
def face():
    return SyntheticFaces("severe", 1, 96, seed=0).read(0)


def error_levels(first, second):
    return float(np.abs(first.astype(int) - second).mean())


@pytest.mark.parametrize(("images", "target"), [("both", 60), ("degraded", 120)])
def test_a_gain_multiplies(images, target):
    """Half the light in both images, or in the degraded one alone; the maps follow their closed form."""
    pair = flat(100, 120, gain=0.1, spots=10 / 255)
    after = ChannelGain((0.5, 0.5), images).apply(pair, np.random.default_rng(0))
    assert (after.degraded == 50).all() and (after.target == target).all()
    gain, spots = (0.1, 5 / 255) if images == "both" else (1.2, 10 / 255)
    assert after.gain == pytest.approx(gain, rel=1e-3) and after.spots == pytest.approx(spots, rel=1e-3)


@pytest.mark.parametrize("images", ["both", "degraded"])
def test_what_a_gain_cuts_at_white_goes_to_the_spots(images):
    """Where a value passes 255 it is cut, and D makes up for it: the equation still gives the target."""
    after = ChannelGain((2, 2), images).apply(flat(130, 153, gain=0.1, spots=10 / 255), np.random.default_rng(0))
    assert (after.degraded == 255).all()
    restored = (1 + after.gain.astype(float)) * after.degraded + 255 * after.spots.astype(float)
    assert restored == pytest.approx(after.target.astype(float), abs=0.3)


def test_channels_have_gains_of_their_own():
    """Three gains in the range, drawn apart."""
    rng = np.random.default_rng(0)
    gains = np.array([ChannelGain((0.8, 1.2)).apply(flat(100, 200), rng).target[0, 0] / 200 for _ in range(100)])
    assert 0.8 <= gains.min() < 0.83 and 1.17 < gains.max() <= 1.2
    assert abs(np.corrcoef(gains.T)[0, 1]) < 0.3


NEUTRAL = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "white_balance": (1, 1), "hue_degrees": 0}


@pytest.mark.parametrize(
    ("changed", "degraded", "target", "spots"),
    [
        # K = 0.1, D = 10 / 255: target 120 of degraded 100. The pivot of the contrast is the target's mean.
        ({"brightness": (0.5, 0.5)}, 50, 60, 5),
        ({"contrast": (0.5, 0.5)}, 110, 120, 5 - 0.1 * 60),
        ({"saturation": (0, 0)}, 100, 120, 10),  # grey stays grey
        ({"white_balance": (0.5, 0.5)}, 50, 60, 5),
        ({"hue_degrees": 180}, 100, 120, 10),  # grey lies on the axis
    ],
)
def test_photometric_changes_both_images_alike(changed, degraded, target, spots):
    """Each option alone on grey images; K stays, D follows its closed form, in 8-bit levels."""
    augmentation = Photometric(**{**NEUTRAL, **changed})
    after = augmentation.apply(flat(100, 120, gain=0.1, spots=10 / 255), np.random.default_rng(0))
    assert (after.degraded == degraded).all() and (after.target == target).all()
    assert after.gain == pytest.approx(0.1, rel=1e-3)
    assert 255 * after.spots.astype(float) == pytest.approx(spots, abs=0.05)


def test_photometric_takes_colour_and_turns_it():
    """Saturation 0 leaves the luminance; a third of a turn makes red green, and the luminance may change."""
    red = Pair("red", *(np.tile(np.uint8([level, 0, 0]), (8, 8, 1)) for level in (200, 100)))
    grey = Photometric(**{**NEUTRAL, "saturation": (0, 0)}).apply(red, np.random.default_rng(0))
    assert (grey.target == 30).all() and (grey.degraded == 60).all()  # 0.299 of each
    turn = Photometric(**{**NEUTRAL, "hue_degrees": 120})
    turned = [turn.apply(red, np.random.default_rng(seed)).degraded[0, 0].astype(int) for seed in range(40)]
    assert max(pixel[1] for pixel in turned) > 150 and max(pixel[2] for pixel in turned) > 150


def test_what_photometric_cuts_goes_to_the_spots():
    """Where a value leaves 0 to 255 it is cut, and D makes up for it: the equation still gives the target."""
    for degraded, target, end in ((225, 245, 255), (4, 2, 0)):
        pair = flat(120, 130, gain=0.1, spots=-2 / 255)
        pair.degraded[:4], pair.target[:4], pair.spots[:4] = degraded, target, (target - 1.1 * degraded) / 255
        after = Photometric(**{**NEUTRAL, "contrast": (3, 3)}).apply(pair, np.random.default_rng(0))
        restored = (1 + after.gain.astype(float)) * after.degraded + 255 * after.spots.astype(float)
        assert (after.degraded[:4] == end).all() and (after.target[:4] == end).all()
        assert restored == pytest.approx(after.target.astype(float), abs=0.9)


def test_jpeg_compresses_the_degraded_image_alone(face):
    """The target is the same array, the maps are gone, the picture stays recognisable."""
    after = Jpeg((50, 50), probability=1).apply(face, np.random.default_rng(0))
    assert after.target is face.target and after.gain is None and after.spots is None
    assert 1 < error_levels(after.degraded, face.degraded) < 8
    assert np.abs(after.degraded.mean((0, 1)) - face.degraded.mean((0, 1))).max() < 1


def test_jpeg_of_lower_quality_is_worse(face):
    """Quality goes by libjpeg's scale, and the whole range is used."""

    def errors(low, high, count):
        rng = np.random.default_rng(0)
        return [error_levels(Jpeg((low, high), 1).apply(face, rng).degraded, face.degraded) for _ in range(count)]

    worst, middle, best = (np.mean(errors(quality, quality, 5)) for quality in (10, 50, 95))
    assert worst > 1.5 * middle > 2 * best
    mixed = errors(10, 95, 40)
    assert min(mixed) < 1.3 * best and max(mixed) > 0.7 * worst


def test_the_grid_of_jpeg_blocks_begins_anywhere(face):
    """One quality gives many pictures of one patch, few of them like its plain encoding."""
    file = io.BytesIO()
    Image.fromarray(face.degraded).save(file, "JPEG", quality=30, subsampling="4:2:0")
    plain = np.asarray(Image.open(file))
    rng = np.random.default_rng(0)
    made = [Jpeg((30, 30), 1).apply(face, rng).degraded for _ in range(40)]
    assert len({image.tobytes() for image in made}) > 30
    assert np.mean([error_levels(image, plain) for image in made]) > 1


@settings(max_examples=30, deadline=None)
@seeds
def test_cutblur_cleans_a_rectangle_or_all_but_one(seed):
    """Each pixel is that of the degraded or of the target image; K and D are 0 exactly where it is the target's."""
    pair = flat(100, 120, gain=0.1, spots=10 / 255)
    after = Cutblur(probability=1).apply(pair, np.random.default_rng(seed))
    clean = (after.degraded == 120).all(2)
    assert ((after.degraded == 100).all(2) ^ clean).all()
    assert np.array_equal(after.gain == 0, np.repeat(clean[..., None], 3, 2))
    assert np.array_equal(after.spots == 0, after.gain == 0)
    assert any(
        np.array_equal(np.outer(mask.any(1), mask.any(0)), mask) and 16 <= mask.sum() <= 256 for mask in (clean, ~clean)
    )


def test_cutblur_has_both_forms_and_reaches_all_pixels():
    """Clean inside and clean outside come equally often; no pixel is always clean or always degraded."""
    rng = np.random.default_rng(0)
    cleans = np.array([(Cutblur(1, (0.3, 0.4)).apply(flat(1, 2), rng).degraded == 2)[..., 0] for _ in range(300)])
    assert 0.4 < (cleans.mean((1, 2)) < 0.5).mean() < 0.6
    assert cleans.mean(0).min() > 0.3 and cleans.mean(0).max() < 0.7


@settings(max_examples=30, deadline=None)
@seeds
def test_mixup_is_the_weighted_mean(seed):
    """One weight for both images and for D; K is the mean that keeps the equation."""
    first = flat(100, 130, gain=0.2, spots=10 / 255, name="first")
    second = flat(200, 200, gain=-0.1, spots=20 / 255, name="second")
    after = Mixup(probability=1).mix(first, lambda: second, np.random.default_rng(seed))
    share = (200 - after.degraded[0, 0, 0]) / 100
    assert after.name == "first" and len(np.unique(after.degraded)) == 1
    assert after.target[0, 0, 0] == pytest.approx(130 * share + 200 * (1 - share), abs=1)
    assert after.spots[0, 0, 0] == pytest.approx((20 - 10 * share) / 255, abs=1e-3)
    assert -0.1 <= after.gain[0, 0, 0] <= 0.2001
    restored = (1 + after.gain.astype(float)) * after.degraded + 255 * after.spots.astype(float)
    assert restored == pytest.approx(after.target.astype(float), abs=1.3)


@pytest.mark.parametrize(("alpha", "middle"), [(0.1, 0.05), (1.0, 0.5), (20.0, 0.99)])
def test_alpha_says_how_even_the_mixture_is(alpha, middle):
    """Weights are symmetric; their share between a quarter and three quarters is that of the Beta distribution."""
    rng = np.random.default_rng(0)
    mixup = Mixup(probability=1, alpha=alpha)
    shares = np.array([mixup.mix(flat(0, 0), lambda: flat(200, 0), rng).degraded[0, 0, 0] for _ in range(300)]) / 200
    assert abs(shares.mean() - 0.5) < 0.07
    assert abs(((shares > 0.25) & (shares < 0.75)).mean() - middle) < 0.09


def test_mixup_keeps_maps_only_if_both_have_them():
    """And draws no second patch when it does not mix."""
    known, bare = flat(100, 110, gain=0.1, spots=0), flat(50, 60)
    for first, second in ((known, bare), (bare, known)):
        after = Mixup(probability=1).mix(first, lambda second=second: second, np.random.default_rng(0))
        assert after.gain is None and after.spots is None
    black = replace(known, degraded=np.zeros_like(known.degraded))
    mixed = Mixup(probability=1).mix(black, lambda: black, np.random.default_rng(0))
    assert mixed.gain == pytest.approx(0.1, rel=1e-2)

    def never():
        raise AssertionError("a second patch was drawn")

    assert Mixup(probability=0).mix(known, never, np.random.default_rng(0)) is known
