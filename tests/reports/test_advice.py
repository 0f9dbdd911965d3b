"""What would settle an open difference, in words."""

import re

from reports.statistics.precision import Precision
from reports.tables.advice import what_reaches


def precision(seed_variance: float, image_variance: float) -> Precision:
    """Of five seeds and 32 images, alone in its family."""
    return Precision(seed_variance, 8.0, image_variance, 0.0, 5, 32, 1, 0.0, 0.05)


def test_noise_of_seeds_asks_for_seeds_alone() -> None:
    """More images would save no seed; there is no cap at a hundred."""
    words = what_reaches(precision(0.01, 0.0), 0.05)
    more, total = map(int, re.fullmatch(r"(\d+) more seeds \((\d+) in all\)", words).groups())
    assert total == more + 5
    assert precision(0.01, 0.0).with_evidence(total, 32).half_width <= 0.05
    assert re.fullmatch(r"[\d,]+ more seeds \([\d,]+ in all\)", what_reaches(precision(0.01, 0.0), 0.01))


def test_noise_of_images_asks_for_images() -> None:
    """No number of seeds is enough, so images are named, alone and with seeds."""
    words = what_reaches(precision(0.0, 0.01), 0.05)
    assert re.fullmatch(
        r"\d+ test images in all, which more seeds cannot replace or \d+ seeds and \d+ test images in all", words
    )


def test_noise_of_both_asks_for_both() -> None:
    """Neither seeds nor images alone are enough."""
    assert re.fullmatch(r"\d+ seeds and \d+ test images in all", what_reaches(precision(0.01, 0.01), 0.05))
