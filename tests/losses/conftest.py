"""What the tests of losses share: random images, and the value of a loss on numpy images."""

import numpy as np
import pytest
import torch

from benchmark.data import SPOT_THRESHOLD_LEVELS
from heads import Restoration
from losses import Batch


@pytest.fixture
def random_case():
    """Return a function from height, width and seed to restored image, degraded image and target, `2 3 H W`.

    Some differences are strong.
    """

    def make(height=24, width=20, seed=0):
        rng = np.random.default_rng(seed)
        target = rng.integers(0, 256, (2, 3, height, width))
        degraded = np.clip(target + rng.integers(-60, 61, target.shape), 0, 255)
        restored = np.clip(target + rng.integers(-40, 41, target.shape), 0, 255)
        return [image / 255 for image in (restored, degraded, target)]

    return make


@pytest.fixture
def value():
    """Return a function that computes a loss from restored image, degraded image, target and their damage mask."""

    def measure(loss, restored, degraded, target):
        images = [torch.from_numpy(image).float() for image in (restored, degraded, target)]
        mask = torch.from_numpy(
            (np.abs(target - degraded) > (SPOT_THRESHOLD_LEVELS + 0.5) / 255).any(1, keepdims=True)
        ).float()
        return float(loss(Restoration(images[0], {}), Batch(images[1], images[2], mask)))

    return measure
