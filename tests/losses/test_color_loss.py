"""The colour losses against their formulas written once more in numpy, in float64."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from benchmark.registry import Registry
from losses.color import Color


def test_blurred_color(random_case, value):
    """The blurred colour loss is the mean squared difference of Gaussian blurs, sigma 3 px, 21 px wide, mirrored."""
    restored, degraded, target = random_case()
    difference = restored - target
    blurred = gaussian_filter(difference, (0, 0, 3, 3), mode="mirror", truncate=10 / 3)
    assert value(Color("blurred_l2"), restored, degraded, target) == pytest.approx((blurred**2).mean(), rel=1e-4)


def test_blurred_color_of_a_cast(random_case, value):
    """A constant cast costs its square everywhere, borders included; a checkerboard of the same size nearly nothing."""
    _, degraded, target = random_case()
    board = np.indices(target.shape[2:]).sum(axis=0) % 2 * 2 - 1
    cast = value(Color("blurred_l2"), target + 0.1, degraded, target)
    assert cast == pytest.approx(0.01, rel=1e-4)
    assert value(Color("blurred_l2"), target + 0.1 * board, degraded, target) < 1e-3 * cast


def test_cosine_color(random_case, value):
    """The cosine colour loss is 1 - cos between RGB vectors with a fourth component of 8/255."""
    restored, degraded, target = random_case()
    first, second = (np.insert(image, 3, 8 / 255, axis=1) for image in (restored, target))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    expected = (1 - (first * second).sum(axis=1) / norms).mean()
    assert value(Color("cosine"), restored, degraded, target) == pytest.approx(expected, rel=1e-4)


def test_cosine_color_is_nearly_blind_to_brightness(random_case, value):
    """Halving the light costs far less than moving as much light to another channel."""
    _, degraded, target = random_case()
    target = target * 0.5 + 0.5
    shifted = target * np.array([0.5, 1.0, 1.5]).reshape(1, 3, 1, 1)
    darker = value(Color("cosine"), target / 2, degraded, target)
    assert darker < 0.05 * value(Color("cosine"), shifted, degraded, target)


def test_color_refuses_unknown_modes():
    """An unknown mode is an error that names the two that exist."""
    with pytest.raises(ValidationError, match="'cosine' or 'blurred_l2'"):
        Registry().create("loss", "color", {"mode": "lab"})


def test_cosine_is_the_default(random_case, value):
    """Without a mode it is the form that weighs something beside L1."""
    images = random_case()
    assert value(Color(), *images) == value(Color("cosine"), *images)


def test_blurred_color_names_the_least_side(random_case, value):
    """A patch with less to reflect than half a window is an error that names the least side."""
    loss = Color("blurred_l2")
    assert loss.min_side == 11
    value(loss, *random_case(11, 12))
    with pytest.raises(ValueError, match="at least 11 px"):
        value(loss, *random_case(12, 10))
