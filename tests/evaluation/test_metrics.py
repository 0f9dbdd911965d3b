"""The metrics of one image: against skimage, against cases done by hand, and what always holds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_msssim import ms_ssim
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmark.errors import DataError
from benchmark.evaluation.evaluate import score_image
from benchmark.evaluation.metrics import find_spots
from reports.metrics import IMAGE_METRICS


def flat(value, height=20, width=20):
    """A grey image."""
    return np.full((height, width, 3), value, np.uint8)


def picture(height, width, seed=0):
    """A smooth picture with noise: something that has structure at every scale."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    smooth = 120 + 60 * np.sin(rows / 9)[..., None] * np.cos(columns[..., None] / (7, 11, 13))
    return np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def noisy(image, deviation, seed=1):
    """The image with noise."""
    noise = np.random.default_rng(seed).normal(0, deviation, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@st.composite
def triples(draw):
    """Restored, degraded and target image of one small size, with differences weak, strong or none."""
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    target = rng.integers(0, 256, (height, width, 3))
    strengths = draw(st.lists(st.sampled_from([0, 1, 20, 255]), min_size=2, max_size=2))
    changes = [rng.integers(-strength, strength + 1, target.shape) for strength in strengths]
    images = [target + changes[0], target + changes[1], target]
    return [np.clip(image, 0, 255).astype(np.uint8) for image in images]


@pytest.mark.parametrize("deviation", [1, 6, 40])
@pytest.mark.parametrize("size", [(64, 48), (33, 90)])
def test_psnr_and_ssim_agree_with_skimage(size, deviation):
    """psnr and ssim are those of skimage with Gaussian weights, sigma 1.5 and the population covariance."""
    target = picture(*size)
    restored = noisy(target, deviation)
    scores = score_image(restored, restored, target)
    assert scores["psnr"] == pytest.approx(peak_signal_noise_ratio(target, restored, data_range=255), abs=1e-9)
    expected = structural_similarity(
        target,
        restored,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    assert scores["ssim"] == pytest.approx(expected, abs=2e-5)


def test_ms_ssim_and_score_on_8_bit_values():
    """ms_ssim is that of the 8-bit values in double precision at range 1; score is the contest's mean of both."""
    target = picture(170, 161)
    restored = noisy(target, 10)
    images = [torch.from_numpy(image / 255).permute(2, 0, 1)[None] for image in (restored, target)]
    scores = score_image(restored, restored, target)
    assert scores["ms_ssim"] == pytest.approx(float(ms_ssim(*images, data_range=1)), abs=1e-5)
    assert scores["score"] == pytest.approx((scores["psnr"] / 100 + scores["ms_ssim"]) / 2, abs=1e-12)


@pytest.mark.parametrize(("side", "present"), [(160, False), (161, True)])
def test_ms_ssim_needs_161_px(side, present):
    """Below 161 px a side ms_ssim and score are absent, with everything else there."""
    target = picture(side, 200)
    degraded = noisy(target, 3)
    degraded[20:25, 20:25] = 0
    scores = score_image(degraded, degraded, target)
    missing = set(IMAGE_METRICS) - set(scores)
    assert missing == (set() if present else {"ms_ssim", "score"})


@pytest.mark.parametrize(("side", "present"), [(10, False), (11, True)])
def test_ssim_needs_11_px(side, present):
    """Below 11 px a side ssim is absent, and no warning is given."""
    assert ("ssim" in score_image(flat(10, side, 30), flat(10, side, 30), flat(10, side, 30))) == present


def test_autocast_around_does_not_matter():
    """Called inside bfloat16 autocast, the similarities are those of float32."""
    target = picture(161, 161)
    restored = noisy(target, 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = score_image(restored, restored, target)
    assert inside == score_image(restored, restored, target)


def one_spot():
    """Target 100, degraded darker by 50 in one pixel (25 spot pixels of 400) and by 2 in another, far away."""
    degraded = flat(100)
    degraded[5, 5] = 50
    degraded[15, 15] = 98
    return degraded, flat(100)


def test_spots_by_hand():
    """Half of the damage mended: share 0.5, PSNR over 25 pixels of which one is off by 25."""
    degraded, target = one_spot()
    restored = degraded.copy()
    restored[5, 5] = 75
    scores = score_image(restored, degraded, target)
    assert scores["fixed_share"] == pytest.approx(0.5)
    assert scores["psnr_spots"] == pytest.approx(10 * math.log10(255**2 * 25 / 25**2))
    assert scores["psnr_background"] == pytest.approx(10 * math.log10(255**2 * 375 / 2**2))
    assert scores["psnr"] == pytest.approx(10 * math.log10(255**2 * 400 / (25**2 + 2**2)))
    assert scores["harm"] == 0


def test_overshooting_is_no_mending():
    """Damage of 50 turned into damage of 60 the other way round has a share below zero."""
    degraded, target = one_spot()
    restored = degraded.copy()
    restored[5, 5] = 160
    assert score_image(restored, degraded, target)["fixed_share"] == pytest.approx(-0.2)


def test_harm_by_hand():
    """Harm counts what became worse in the background, per channel, and no improvement makes up for it."""
    degraded, target = one_spot()
    restored = degraded.copy()
    restored[15, 15] = 100
    restored[12, 3, 0] = 97
    restored[15, 3] = 106
    restored[5, 5] = 0
    assert score_image(restored, degraded, target)["harm"] == pytest.approx((3 + 3 * 6) / (3 * 375))


def test_texture_is_a_ratio_of_energies():
    """Half the amplitude of the finest texture is a quarter of its energy."""
    board = np.where(np.indices((20, 20)).sum(axis=0)[..., None] % 2, 8, -8) * np.ones(3, int)
    target, restored = (120 + board).astype(np.uint8), (120 + board // 2).astype(np.uint8)
    assert score_image(restored, target, target)["texture"] == pytest.approx(0.25)


def test_texture_looks_at_the_background_alone():
    """Texture smoothed away inside the spots does not count."""
    target = picture(40, 40)
    degraded, restored = target.copy(), target.copy()
    degraded[10:20, 10:20] = 0
    spots = find_spots(degraded, target)
    inner = np.zeros_like(spots)
    inner[10:20, 10:20] = True
    restored[inner] = 128
    assert score_image(restored, degraded, target)["texture"] == pytest.approx(1)
    restored[25:35, 25:35] = 128
    assert score_image(restored, degraded, target)["texture"] < 0.99


def test_metrics_without_pixels_are_absent():
    """Without spots there is no spots metric, without background none of it, on a flat target no texture."""
    no_spots = score_image(flat(9), flat(12), flat(10))
    assert set(no_spots) == {"psnr", "ssim", "psnr_background", "harm"}
    only_spots = score_image(flat(9), flat(200), flat(10))
    assert set(only_spots) == {"psnr", "ssim", "psnr_spots", "fixed_share"}


def test_error_of_one_level_does_not_beat_no_error():
    """A single wrong level in a large image, above 100 dB by the formula, counts as 100 dB like none at all."""
    target = flat(100, 400, 400)
    restored = target.copy()
    restored[0, 0, 0] += 1
    assert 10 * math.log10(255**2 * target.size) > 100
    assert score_image(restored, target, target)["psnr"] == 100


@given(triples())
@settings(max_examples=60, deadline=None)
def test_scores_are_finite_and_in_order(images):
    """Whatever the images, each number is finite and the names are those of IMAGE_METRICS, in its order."""
    scores = score_image(*images)
    assert list(scores) == [name for name in IMAGE_METRICS if name in scores]
    assert all(type(value) is float and math.isfinite(value) for value in scores.values())
    assert 0 <= scores["psnr"] <= 100
    assert scores.get("fixed_share", 0) <= 1
    assert scores.get("harm", 0) >= 0


@given(triples())
@settings(max_examples=40, deadline=None)
def test_doing_nothing_mends_and_harms_nothing(images):
    """Restored = degraded: fixed_share 0 and harm 0, wherever they exist."""
    _, degraded, target = images
    scores = score_image(degraded, degraded, target)
    assert scores.get("fixed_share", 0) == 0
    assert scores.get("harm", 0) == 0


@given(triples())
@settings(max_examples=40, deadline=None)
def test_perfect_restoration(images):
    """Restored = target: 100 dB everywhere, everything mended, no harm, texture 1, similarity 1."""
    _, degraded, target = images
    best = {"fixed_share": 1, "harm": 0, "texture": 1, "ssim": 1}
    scores = score_image(target, degraded, target)
    assert scores == {name: best.get(name, 100) for name in scores}


@given(triples(), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_scores_do_not_depend_on_orientation(images, turns):
    """Turned images score as they did before, also when handed over as views."""
    turned = score_image(*(np.rot90(image, turns) for image in images))
    assert turned == pytest.approx(score_image(*images), rel=1e-4, abs=1e-5)


def test_images_are_not_changed():
    """Scoring read-only images works."""
    images = [picture(20, 20, seed) for seed in range(3)]
    for image in images:
        image.flags.writeable = False
    assert score_image(*images)["psnr"] > 0


@pytest.mark.parametrize("restored", [flat(0, 20, 21), flat(0).astype(np.float32), flat(0)[..., 0], flat(0)[..., :2]])
def test_images_that_do_not_belong_together_are_refused(restored):
    """Another size, dtype or number of channels is an error that shows what was found."""
    with pytest.raises(DataError, match="uint8 20 x 20 x 3"):
        score_image(restored, flat(0), flat(0))
