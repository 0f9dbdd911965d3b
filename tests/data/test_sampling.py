"""The stream of patches is a pure function of (seed, stage, position)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data import Augmentation, Pair, Source
from benchmark.data.augmentations import make_augmentations
from benchmark.data.augmentations.channel_gain import ChannelGain
from benchmark.data.augmentations.mixup import Mixup
from benchmark.data.augmentations.random_resize import RandomResize
from benchmark.data.augmentations.spot_crop import SpotCrop
from benchmark.data.sampling import Sampler, generator, index_at, random_crop
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.errors import DataError, ExperimentError
from benchmark.registry import Registry


def make(pairs: Path, seed: int = 0, stage: str = "coarse", augmentations: Sequence[Augmentation] = ()) -> Sampler:
    return Sampler(PairedFolders(pairs / "train/degraded", pairs / "train/target"), seed, stage, 24, augmentations)


def test_a_position_has_one_patch(pairs: Path) -> None:
    """Asked in any order, by any sampler, a position gives the same patch; another seed or stage gives another."""
    there = [make(pairs).patch_at(position).degraded for position in range(12)]
    sampler = make(pairs)
    back = [sampler.patch_at(position).degraded for position in reversed(range(12))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(there, back, strict=True))
    for other in (make(pairs, seed=1), make(pairs, stage="psnr")):
        assert any(not np.array_equal(a, other.patch_at(i).degraded) for i, a in enumerate(there))


def test_a_position_has_one_patch_also_when_two_are_mixed(pairs: Path) -> None:
    """The second patch and its crop come from the position's generator, too; the first is where it was without it."""
    augmentations = [RandomResize(), ChannelGain(), Mixup(probability=1)]
    there = [make(pairs, augmentations=augmentations).patch_at(position) for position in range(8)]
    sampler = make(pairs, augmentations=augmentations)
    back = [sampler.patch_at(position) for position in reversed(range(8))][::-1]
    assert all(np.array_equal(a.degraded, b.degraded) for a, b in zip(there, back, strict=True))
    alone = [make(pairs, augmentations=[Mixup(probability=0)]).patch_at(position) for position in range(8)]
    plain = [make(pairs).patch_at(position) for position in range(8)]
    assert all(np.array_equal(a.degraded, b.degraded) for a, b in zip(alone, plain, strict=True))


class Flat(Source):
    """Pairs of one grey each: 0, 100 and 200."""

    origin = "made up"

    def __len__(self) -> int:
        return 3

    def read(self, index: int) -> Pair:
        image = np.full((40, 40, 3), 100 * index, np.uint8)
        return Pair(str(index), image, image)

    @property
    def fingerprint(self) -> str:
        return "flat"


def test_the_second_patch_went_through_the_augmentations_before() -> None:
    """Halved before mixing: no value above 100. Halved after it: the same, once, not twice."""
    half, mix = ChannelGain((0.5, 0.5)), Mixup(probability=1, alpha=20)
    for augmentations in ([half, mix], [mix, half]):
        sampler = Sampler(Flat(), 0, "coarse", 24, augmentations)
        values = [float(sampler.patch_at(position).degraded.mean()) for position in range(60)]
        assert max(values) == 100
        assert {0.0, 50.0, 100.0} < set(values)  # two equal patches, and mixed ones


def test_a_stage_has_one_augmentation_that_crops() -> None:
    """Its patch has the size asked for; two of them are an error."""
    registry = Registry()
    for name in ("random_resize", "spot_crop"):
        sampler = Sampler(Flat(), 0, "coarse", 24, make_augmentations({"flip": {}, name: {}}, registry))
        assert sampler.patch_at(0).degraded.shape == (24, 24, 3)
    with pytest.raises(ExperimentError, match="random_resize and spot_crop both choose where a patch is cut"):
        make_augmentations({"random_resize": {}, "flip": {}, "spot_crop": {}}, registry)


def test_the_augmentation_that_crops_acts_once() -> None:
    """Wherever it stands in the list, the crop comes first, also for the second patch."""
    gain = ChannelGain((0.5, 0.5))
    for augmentations in ([SpotCrop(), gain], [gain, SpotCrop()], [Mixup(1), gain, SpotCrop()]):
        patch = Sampler(Flat(), 0, "coarse", 24, augmentations).patch_at(2)
        assert patch.degraded.shape == (24, 24, 3)


@given(st.integers(1, 30), st.integers(0, 5), st.integers(0, 2**31))
def test_each_pass_sees_every_pair_once(count: int, turn: int, seed: int) -> None:
    """The stream is one permutation of all pairs after the other."""
    seen = [index_at(turn * count + position, count, seed, "coarse") for position in range(count)]
    assert sorted(seen) == list(range(count))


def test_passes_differ() -> None:
    """The order is drawn anew in each pass (a stream that repeats is the commonest fault of the field)."""
    epochs = [[index_at(epoch * 20 + i, 20, 0, "coarse") for i in range(20)] for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]


@settings(deadline=None)
@given(st.integers(4, 20), st.integers(4, 20), st.integers(0, 1000))
def test_crops_lie_inside_and_cut_everything_alike(height: int, width: int, seed: int) -> None:
    """Degraded, target and maps are cut at the same place."""
    values = np.arange(height * width).reshape(height, width, 1).repeat(3, 2)
    pair = Pair(
        "p", values.astype(np.uint8), values.astype(np.uint8), values.astype(np.float16), values.astype(np.float16)
    )
    crop = random_crop(pair, 4, np.random.default_rng(seed))
    assert crop.degraded.shape == (4, 4, 3)
    assert np.array_equal(crop.degraded, crop.target)
    assert crop.gain is not None and crop.spots is not None
    assert np.array_equal(crop.gain.astype(np.uint8), crop.degraded)
    assert np.array_equal(crop.spots, crop.gain)


def test_crops_reach_every_corner() -> None:
    """All places that fit are used, the last ones included."""
    values = np.zeros((6, 6, 3), np.uint8)
    values[0, 0] = values[0, -1] = values[-1, 0] = values[-1, -1] = 1
    rng = np.random.default_rng(0)
    corners = {
        tuple(random_crop(Pair("p", values, values), 4, rng).degraded[[0, 0, 3, 3], [0, 3, 0, 3], 0])
        for _ in range(200)
    }
    assert {(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)} <= corners


def test_an_image_smaller_than_the_patch_is_named() -> None:
    """The message has the image, its size and the patch."""
    image = np.zeros((10, 40, 3), np.uint8)
    with pytest.raises(DataError, match=r"little: 40x10 pixels, smaller than the patch of 24"):
        random_crop(Pair("little", image, image), 24, np.random.default_rng(0))


def test_generators_of_different_names_are_independent() -> None:
    """The number 1 and the word "1", and names split differently, are different streams."""
    draws = [generator(*names).integers(2**62) for names in ((1, "a"), ("1", "a"), ("1a",), (1, "a", 0), ("a", 1))]
    assert len(set(draws)) == len(draws)
    assert generator(1, "a").integers(2**62) == draws[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, -1]), st.sampled_from([1, -1]), st.integers(0, 3))
def test_moved_pixels_are_those_of_the_view(
    dtype: type[np.generic], height: int, width: int, down: int, right: int, turns: int
) -> None:
    """Whatever mirrors and turns are combined, every value comes along, row by row in memory."""

    def move(values: np.ndarray) -> np.ndarray:
        return np.rot90(values[::down, ::right], turns)

    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    maps = None if dtype is np.uint8 else image.astype(np.float16)
    moved = Pair("one", image, image[::-1], maps, maps).map_spatial(move)
    for before, after in ((image, moved.degraded), (image[::-1], moved.target), (maps, moved.gain)):
        if before is not None and after is not None:
            assert after.flags.c_contiguous and after.dtype == before.dtype
            assert np.array_equal(after, move(before))
    assert (moved.gain is None) == (maps is None)
