"""Flips and quarter turns: images and maps move together."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data import Pair
from benchmark.data.augmentations.flip import Flip
from benchmark.data.augmentations.horizontal_flip import HorizontalFlip
from benchmark.data.augmentations.rotate90 import Rotate90

AUGMENTATIONS = [Flip(), HorizontalFlip(), Rotate90()]
every_augmentation = pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda one: type(one).__name__)
ARRAYS = ("degraded", "target", "gain", "spots")


def pair_with_maps(height=6, width=6):
    """A pair whose target is K*I + D + I before rounding, all pixels different from each other."""
    rng = np.random.default_rng(0)
    degraded = rng.permutation(height * width * 3).reshape(height, width, 3).astype(np.uint8)
    gain = rng.uniform(-0.1, 0.1, degraded.shape).astype(np.float16)
    spots = rng.uniform(0, 0.3, degraded.shape).astype(np.float16)
    return Pair("face", degraded, equation(degraded, gain, spots), gain, spots)


def equation(degraded, gain, spots):
    """K*I + D + I in 8 bits."""
    image = degraded / 255
    return np.rint(255 * np.clip(gain.astype(float) * image + spots + image, 0, 1)).astype(np.uint8)


def outcomes(augmentation, pair, count=200):
    """The distinct degraded images of many draws, with how often each came."""
    rng = np.random.default_rng(0)
    drawn = [augmentation.apply(pair, rng).degraded.tobytes() for _ in range(count)]
    return {image: drawn.count(image) for image in drawn}


@every_augmentation
@given(seed=st.integers(0, 2**32 - 1))
def test_equation_still_holds(augmentation, seed):
    """The maps are kept, and J = K*I + D + I holds for the changed pair."""
    changed = augmentation.apply(pair_with_maps(), np.random.default_rng(seed))
    assert np.array_equal(changed.target, equation(changed.degraded, changed.gain, changed.spots))


@every_augmentation
@given(seed=st.integers(0, 2**32 - 1))
def test_same_generator_same_result(augmentation, seed):
    """All randomness comes from the generator: the same state gives the same pair."""
    first, second = (augmentation.apply(pair_with_maps(), np.random.default_rng(seed)) for _ in range(2))
    assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ARRAYS)


@pytest.mark.parametrize("augmentation", [Flip(), HorizontalFlip()], ids=["Flip", "HorizontalFlip"])
@given(seed=st.integers(0, 2**32 - 1))
def test_flips_are_involutions(augmentation, seed):
    """The same flip twice gives the pair back."""
    pair = pair_with_maps(5, 8)
    once = augmentation.apply(pair, np.random.default_rng(seed))
    twice = augmentation.apply(once, np.random.default_rng(seed))
    assert all(np.array_equal(getattr(twice, name), getattr(pair, name)) for name in ARRAYS)


@given(seed=st.integers(0, 2**32 - 1))
def test_four_equal_turns_are_none(seed):
    """The same turn four times gives the pair back."""
    pair = turned = pair_with_maps(5, 8)
    for _ in range(4):
        turned = Rotate90().apply(turned, np.random.default_rng(seed))
    assert all(np.array_equal(getattr(turned, name), getattr(pair, name)) for name in ARRAYS)


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [
        (HorizontalFlip(), lambda image: [image, image[:, ::-1]]),
        (Flip(), lambda image: [image, image[:, ::-1], image[::-1], image[::-1, ::-1]]),
        (Rotate90(), lambda image: [np.rot90(image, turns) for turns in range(4)]),
    ],
    ids=["HorizontalFlip", "Flip", "Rotate90"],
)
def test_outcomes_are_those_named_and_equally_often(augmentation, expected):
    """Each outcome of the formula comes, nothing else does, and none is rare."""
    pair = pair_with_maps()
    found = outcomes(augmentation, pair)
    assert set(found) == {image.tobytes() for image in expected(pair.degraded)}
    assert min(found.values()) > 0.7 * 200 / len(found)


@every_augmentation
def test_pair_without_maps_stays_without(augmentation):
    """What the source does not know does not appear, and the name stays."""
    pair = pair_with_maps()
    bare = Pair(pair.name, pair.degraded, pair.target)
    changed = augmentation.apply(bare, np.random.default_rng(0))
    assert (changed.name, changed.gain, changed.spots) == ("face", None, None)


@every_augmentation
def test_pair_given_is_untouched(augmentation):
    """The old pair keeps its pixels."""
    pair, original = pair_with_maps(), pair_with_maps()
    rng = np.random.default_rng(3)
    for _ in range(8):
        augmentation.apply(pair, rng)
    assert all(np.array_equal(getattr(pair, name), getattr(original, name)) for name in ARRAYS)


@every_augmentation
def test_arrays_can_become_tensors(augmentation):
    """Every outcome is contiguous, so that torch takes it without a copy."""
    rng = np.random.default_rng(0)
    for _ in range(16):
        changed = augmentation.apply(pair_with_maps(), rng)
        assert all(torch.from_numpy(getattr(changed, name)).is_contiguous() for name in ARRAYS)
