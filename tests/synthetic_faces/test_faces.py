"""The face generator: clean portraits, their damage, and the truth about it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.synthetic_faces import PRESETS, Portrait, PresetName, degrade, draw_portrait
from benchmark.synthetic_faces.degrade import damage_portrait
from benchmark.synthetic_faces.geometry import is_empty, picture_frame
from benchmark.synthetic_faces.lesions import LESIONS, plan_damage
from benchmark.synthetic_faces.population import choose_attributes, choose_pose
from benchmark.synthetic_faces.raster import bandpass, blur, gaussian, lab_to_linear, smooth_noise, to_linear, to_srgb

PRESET_NAMES: tuple[PresetName, ...] = ("contest", "heavy", "severe")


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    """One small portrait for the tests that only damage it."""
    return draw_portrait(np.random.default_rng(4), 128)


@given(size=st.integers(64, 128), seed=st.integers(0, 2**32), preset=st.sampled_from(PRESET_NAMES))
@settings(max_examples=12, deadline=None)
def test_any_size_and_seed_gives_a_valid_pair(size, seed, preset):
    """Shapes, dtypes and ranges of portrait and pair hold for every size and seed."""
    rng = np.random.default_rng(seed)
    portrait = draw_portrait(rng, size)
    assert portrait.image.shape == (size, size, 3) and portrait.skin.shape == (size, size)
    for field in (portrait.image, portrait.skin):
        assert field.dtype == np.float32 and field.min() >= 0 and field.max() <= 1
    assert 0.25 * size <= portrait.pixels_per_mm * 70 <= 0.48 * size
    pair = degrade(portrait, PRESETS[preset], rng)
    for image in (pair.degraded, pair.target):
        assert image.dtype == np.uint8 and image.shape == (size, size, 3)
    for truth in (pair.gain, pair.spots):
        assert truth.dtype == np.float32 and truth.shape == (size, size, 3)
        assert np.isfinite(truth.astype(np.float16)).all()
    assert np.abs(pair.spots).max() <= 1 and np.abs(pair.gain).max() < 0.5


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_equation_is_exact_before_noise_and_rounding(portrait, preset):
    """target = K * degraded + D + degraded holds to float32 precision."""
    damage = damage_portrait(portrait, PRESETS[preset], np.random.default_rng(0))
    restored = damage.gain * damage.degraded + damage.spots + damage.degraded
    np.testing.assert_allclose(restored, portrait.image, atol=1e-6)


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_equation_holds_within_noise_after_rounding(portrait, preset):
    """On the 8-bit pair the residual is that of sensor noise and of two roundings."""
    pair = degrade(portrait, PRESETS[preset], np.random.default_rng(0))
    degraded, target = pair.degraded / 255, pair.target / 255
    residual = 255 * np.abs(target - (pair.gain * degraded + pair.spots + degraded))
    assert 0.3 < np.median(residual) < 1.2
    assert np.quantile(residual, 0.99) < 4


def test_spots_are_only_on_bare_skin(portrait):
    """D is exactly zero where there is no skin, and not everywhere."""
    pair = degrade(portrait, PRESETS["severe"], np.random.default_rng(1))
    assert not pair.spots[portrait.skin == 0].any()
    assert np.abs(pair.spots[portrait.skin > 0.5]).max() > 0.1


def test_spots_mostly_darken(portrait):
    """Spots take light away, green and blue more than red, so restoring adds it."""
    red, green, blue = degrade(portrait, PRESETS["severe"], np.random.default_rng(1)).spots.mean((0, 1))
    assert green > red > 0 and blue > red


def test_same_generator_gives_the_same_pixels_at_once_and_again():
    """All randomness comes from the generator given."""
    first, second = (draw_portrait(np.random.default_rng(11), 96) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    pairs = [degrade(face, PRESETS["heavy"], np.random.default_rng(12)) for face in (first, second)]
    np.testing.assert_array_equal(pairs[0].degraded, pairs[1].degraded)
    np.testing.assert_array_equal(pairs[0].spots, pairs[1].spots)


def test_same_generator_shows_the_same_face_at_any_size():
    """Reduced to 64 px, a face drawn at 128 and at 192 px is the same picture but for pores, hairs and backdrop."""
    seeds = range(3)
    for seed in seeds:
        small, large, other = (
            _reduced(draw_portrait(np.random.default_rng(s), size), 64)
            for s, size in ((seed, 128), (seed, 192), (seed + 100, 192))
        )
        assert np.abs(small - large).mean() < 0.5 * np.abs(small - other).mean()


def _reduced(portrait: Portrait, size: int) -> np.ndarray:
    factor = portrait.image.shape[0] // size
    skin = portrait.image * portrait.skin[:, :, None]
    return skin.reshape(size, factor, size, factor, 3).mean((1, 3))


def test_presets_are_ordered_by_severity(portrait):
    """On the same face, heavier presets do more damage."""
    errors = []
    for name in PRESET_NAMES:
        pairs = [degrade(portrait, PRESETS[name], np.random.default_rng(seed)) for seed in range(6)]
        errors.append(np.mean([(pair.degraded.astype(float) - pair.target) ** 2 for pair in pairs]))
    assert errors == sorted(errors)


def test_face_without_skin_gets_no_spots():
    """A portrait that shows no bare skin is damaged by gain and noise alone."""
    bare = Portrait(np.full((64, 64, 3), 0.5, np.float32), np.zeros((64, 64), np.float32), 0.4)
    damage = damage_portrait(bare, PRESETS["severe"], np.random.default_rng(0))
    assert not damage.spots.any() and damage.gain.any()


def test_lesions_are_planned_on_skin(portrait):
    """Every lesion's centre is a pixel of bare skin; specks and scratches make rashes, other kinds occur alone."""
    kinds, of_rashes = set(), set()
    for seed in range(10):
        plan = plan_damage(np.random.default_rng(seed), portrait, PRESETS["severe"])
        specks = [speck for rash in plan.rashes for speck in rash.specks]
        assert all(portrait.skin[lesion.y, lesion.x] > 0.4 for lesion in [*plan.lesions, *specks])
        kinds |= {lesion.kind for lesion in plan.lesions}
        of_rashes |= {speck.kind for speck in specks}
    assert of_rashes == {"speck", "scratch"}
    assert kinds == set(LESIONS) - of_rashes


@given(seed=st.integers(0, 2**32), top=st.floats(-2, 2), left=st.floats(-2, 2), reach=st.floats(0.05, 1))
@settings(max_examples=30, deadline=None)
def test_window_shows_all_pixels_in_reach(seed, top, left, reach):
    """No pixel within the reach of a point is left out of its window."""
    frame = picture_frame(choose_pose(np.random.default_rng(seed)), 64)
    window = frame.window(left, top, reach, reach)
    near = (np.abs(frame.u - left) < reach) & (np.abs(frame.v - top) < reach)
    outside = near.copy()
    outside[window] = False
    assert not outside.any()
    assert not (is_empty(window) and near.any())


def test_points_and_pixels_agree():
    """The pixel of a point of the face has that point's coordinates."""
    frame = picture_frame(choose_pose(np.random.default_rng(3)), 256)
    crop = frame.crop((slice(40, 220), slice(30, 200)))
    u, v = np.array([-0.3, 0.0, 0.35]), np.array([-0.2, 0.3, 0.1])
    x, y = crop.pixels(u, v)
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    np.testing.assert_allclose(crop.v[row, column], v, atol=1.5 / frame.face_px)
    np.testing.assert_allclose(crop.u[row, column], u, atol=4 / frame.face_px)


@given(shape=st.tuples(st.integers(8, 90), st.integers(8, 90)), sigma=st.floats(0.5, 40), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_noise_has_unit_scale(shape, sigma, seed):
    """Noise of any correlation length has the shape asked for, mean 0 and standard deviation 1."""
    for field in (
        smooth_noise(np.random.default_rng(seed), shape, sigma),
        bandpass(np.random.default_rng(seed), shape, sigma / 3, sigma),
    ):
        assert field.shape == shape and field.dtype == np.float32
        assert abs(field.mean()) < 1e-3 and abs(field.std() - 1) < 1e-2


def test_wide_blur_is_a_gaussian():
    """The blur on a reduced grid is within 2 % of the full-resolution filter."""
    field = np.random.default_rng(0).random((120, 90), np.float32)
    exact = gaussian(field, 7)
    assert np.abs(blur(field, 7) - exact)[8:-8, 8:-8].max() < 0.02


def test_srgb_curve_and_its_inverse():
    """Linear light and sRGB are inverses; a mid grey has the light the standard gives it."""
    values = np.linspace(0, 1, 257, dtype=np.float32)
    np.testing.assert_allclose(to_srgb(to_linear(values)), values, atol=1e-6)
    assert to_linear(np.float32([0.5]))[0] == pytest.approx(0.21404, abs=1e-4)


def test_lab_colours():
    """White is white, and a colour of positive a and b is reddish."""
    np.testing.assert_allclose(lab_to_linear([100, 0, 0]), 1, atol=2e-3)
    red, green, blue = lab_to_linear([60, 25, 25])
    assert red > green > blue


def test_tones_and_styles_are_spread():
    """Over many faces all skin tones, hair styles and both beards and none occur."""
    looks = [choose_attributes(np.random.default_rng(seed)) for seed in range(150)]
    assert {int(look.complexion.tone) for look in looks} == {0, 1, 2, 3, 4}
    assert {look.hair.style for look in looks} == {"short", "long", "bald"}
    assert 0.2 < np.mean([look.complexion.beard > 0 for look in looks]) < 0.5
