"""Metrics that are scored where an experiment names them: against published numbers, skimage and cases done by hand."""

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmark.evaluation.evaluate import load_metrics, score_image
from benchmark.evaluation.metrics.ciede2000_skin import ciede2000
from benchmark.registry import Registry

# Sharma, Wu, Dalal 2005, table 1: L, a, b of both colours, and their difference to four decimals.
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195
50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000
50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""
METRICS = load_metrics(Registry(), Registry().names("metric"))


def picture(height=60, width=48, seed=0):
    """Structure at every scale."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    smooth = 120 + 60 * np.sin(rows / 9)[..., None] * np.cos(columns[..., None] / (7, 11, 13))
    return np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def scored(restored, target, skin=None):
    """All metrics; the degraded image does not matter here."""
    return score_image(restored, target, target, METRICS, skin)


@pytest.mark.parametrize("line", SHARMA.strip().splitlines())
def test_ciede2000_is_that_of_the_published_pairs(line):
    """To the four decimals of the paper, and the same in both directions."""
    *colours, difference = map(float, line.split())
    first, second = np.array(colours[:3]), np.array(colours[3:])
    assert ciede2000(first, second) == pytest.approx(difference, abs=5e-5)
    assert ciede2000(second, first) == pytest.approx(difference, abs=5e-5)


def test_ciede2000_of_pictures_is_that_of_skimage_on_the_skin_alone():
    """The mean over the mask; what lies outside of it does not count."""
    target = picture()
    restored = np.clip(target + np.array([9, 0, -6]), 0, 255).astype(np.uint8)
    skin = np.zeros(target.shape[:2], np.uint8)
    skin[10:30, 5:40] = 255
    expected = deltaE_ciede2000(rgb2lab(restored), rgb2lab(target))[skin > 0].mean()
    assert scored(restored, target, skin)["ciede2000_skin"] == pytest.approx(expected, abs=2e-3)
    restored[40:] = 0
    assert scored(restored, target, skin)["ciede2000_skin"] == pytest.approx(expected, abs=2e-3)
    assert "ciede2000_skin" not in scored(restored, target)
    assert "ciede2000_skin" not in scored(restored, target, np.zeros_like(skin))


def test_luma_metrics_are_those_of_papers_on_super_resolution():
    """Y of BT.601 from 16 to 235, 4 px of border left out: against skimage on such a Y."""
    target = picture()
    restored = np.clip(target + np.random.default_rng(1).normal(0, 9, target.shape), 0, 255).astype(np.uint8)
    luma = [16 + image[4:-4, 4:-4] @ np.array([65.481, 128.553, 24.966]) / 255 for image in (target, restored)]
    scores = scored(restored, target)
    assert scores["psnr_y"] == pytest.approx(peak_signal_noise_ratio(*luma, data_range=255))
    _, map_of_ssim = structural_similarity(
        *luma, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert scores["ssim_y"] == pytest.approx(map_of_ssim[5:-5, 5:-5].mean(), abs=1e-5)
    restored[:4], restored[:, -4:] = 0, 255
    assert scored(restored, target)["psnr_y"] == scores["psnr_y"]


def test_black_and_white_have_the_luma_of_the_standard():
    """White is 235 and black 16, so the PSNR of one for the other is that of 219 levels."""
    black = np.zeros((20, 20, 3), np.uint8)
    assert scored(np.full_like(black, 255), black)["psnr_y"] == pytest.approx(20 * np.log10(255 / 219))


def test_psnr_of_edges_weighs_errors_by_the_gradient_of_the_target():
    """An error at an edge costs more than the same error elsewhere; everywhere alike it is plain PSNR."""
    target = np.full((40, 40, 3), 60, np.uint8)
    target[:, 20:] = 200
    at_edge, elsewhere = target.copy(), target.copy()
    at_edge[:, 19], elsewhere[:, 5] = 70, 70
    assert "psnr_edges" not in scored(at_edge, np.full_like(target, 9))
    at_edge, elsewhere = scored(at_edge, target), scored(elsewhere, target)
    assert at_edge["psnr_edges"] < at_edge["psnr"] - 10 and elsewhere["psnr_edges"] > elsewhere["psnr"] + 10
    alike = scored(target + 10, target)
    assert alike["psnr_edges"] == pytest.approx(alike["psnr"])


def test_the_residual_spectrum_tells_broad_error_from_fine():
    """All of a tint is broad, none of a fine grating; white noise has the share of the disc of frequencies."""
    target = np.full((256, 256, 3), 120, np.uint8)
    columns = np.arange(256)
    grating = (120 + 9 * np.sin(2 * np.pi * columns / 4))[None, :, None]
    noise = np.random.default_rng(0).normal(0, 9, target.shape)
    assert scored(target + 9, target)["residual_spectrum"] == pytest.approx(1, abs=1e-6)
    assert scored(np.broadcast_to(np.rint(grating), target.shape).astype(np.uint8), target)["residual_spectrum"] < 1e-3
    white = scored(np.rint(target + noise).astype(np.uint8), target)["residual_spectrum"]
    assert white == pytest.approx(np.pi / 16**2, rel=0.15)
