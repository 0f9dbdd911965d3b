"""What all augmentations that change more than places have in common: generator, shapes, maps, equation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.data import CropAugmentation, MixAugmentation
from benchmark.data.augmentations.channel_gain import ChannelGain
from benchmark.data.augmentations.cutblur import Cutblur
from benchmark.data.augmentations.jpeg import Jpeg
from benchmark.data.augmentations.mask_shift import MaskShift
from benchmark.data.augmentations.mixup import Mixup
from benchmark.data.augmentations.photometric import Photometric
from benchmark.data.augmentations.random_resize import RandomResize
from benchmark.data.augmentations.spot_crop import SpotCrop
from benchmark.data.sampling import random_crop
from benchmark.data.sources.synthetic_faces import SyntheticFaces
from benchmark.errors import BenchmarkError, DataError
from benchmark.registry import Registry

SIDE_PX = 48
ACTIVE = {
    "random_resize": RandomResize(),
    "spot_crop": SpotCrop(share=1),
    "mask_shift": MaskShift(probability=1),
    "channel_gain": ChannelGain(),
    "channel_gain degraded": ChannelGain(images="degraded"),
    "cutblur": Cutblur(probability=1),
    "mixup": Mixup(probability=1),
    "jpeg": Jpeg(probability=1),
    # Factors of at most about 1: larger ones enlarge the noise of the sensor, which no map explains.
    "photometric": Photometric((0.6, 0.9), (0.6, 1.0), (0.5, 1.0), (0.9, 1.0), hue_degrees=3),
}
IDLE = {
    "random_resize": RandomResize(scale_range=(1, 1)),
    "spot_crop": SpotCrop(share=0),
    "mask_shift": MaskShift(probability=0),
    "channel_gain": ChannelGain(gain_range=(1, 1)),
    "cutblur": Cutblur(probability=0),
    "mixup": Mixup(probability=0),
    "jpeg": Jpeg(probability=0),
    "photometric": Photometric(probability=0),
    "photometric of factor 1": Photometric((1, 1), (1, 1), (1, 1), (1, 1), hue_degrees=0),
}
every = pytest.mark.parametrize("name", ACTIVE)
seeds = given(seed=st.integers(0, 2**32 - 1))
quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def faces():
    """Two damaged faces whose arrays cannot be written to, as those of a cache."""
    pairs = [SyntheticFaces("severe", 2, 96, seed=0).read(index) for index in range(2)]
    for pair in pairs:
        for array in arrays(pair):
            array.flags.writeable = False
    return pairs


def arrays(pair):
    """Images and those maps that are there; patches have no skin."""
    return [array for array in (pair.degraded, pair.target, pair.gain, pair.spots) if array is not None]


def augmented(augmentation, faces, seed):
    """The patch before and after, as a sampler would make them."""
    rng = np.random.default_rng(seed)
    if isinstance(augmentation, CropAugmentation):
        return random_crop(faces[0], SIDE_PX, rng), augmentation.crop(faces[0], SIDE_PX, rng)
    before, other = (random_crop(face, SIDE_PX, rng) for face in faces)
    if isinstance(augmentation, MixAugmentation):
        return before, augmentation.mix(before, lambda: other, rng)
    return before, augmentation.apply(before, rng)


def residual_levels(pair):
    """target - (K * degraded + D + degraded), in 8-bit levels."""
    degraded, target = pair.degraded.astype(float), pair.target.astype(float)
    return target - (1 + pair.gain.astype(float)) * degraded - 255 * pair.spots.astype(float)


@every
@quick
@seeds
def test_images_do_not_depend_on_maps(name, faces, seed):
    """A stage whose losses read no maps gets the images that it would get with them."""
    bare = [replace(face, gain=None, spots=None) for face in faces]
    (_, full), (_, plain) = (augmented(ACTIVE[name], pairs, seed) for pairs in (faces, bare))
    assert np.array_equal(full.degraded, plain.degraded) and np.array_equal(full.target, plain.target)
    assert plain.gain is None and plain.spots is None


@every
@quick
@seeds
def test_equal_generators_give_equal_patches(name, faces, seed):
    """Nothing but the generator is random, and the shape is that of the patch."""
    (_, first), (_, second) = (augmented(ACTIVE[name], faces, seed) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(arrays(first), arrays(second), strict=True))
    assert {array.shape for array in arrays(first)} == {(SIDE_PX, SIDE_PX, 3)}
    assert [array.dtype for array in arrays(first)] == [np.uint8] * 2 + [np.float16] * (len(arrays(first)) - 2)


@pytest.mark.parametrize("name", [name for name in ACTIVE if name != "jpeg"])
@quick
@seeds
def test_the_equation_holds_as_well_as_before(name, faces, seed):
    """Kept maps restore the new pair: no pixel is worse by more than the rounding of two images and of halves."""
    _, after = augmented(ACTIVE[name], faces, seed)
    noise = max(np.abs(residual_levels(face)).max() for face in faces)
    assert np.abs(residual_levels(after)).max() < 1.1 * noise + 1.6
    assert np.sqrt(np.square(residual_levels(after)).mean()) < 2.2


@every
def test_a_patch_without_maps_stays_without(name, faces):
    """What the source does not know does not appear."""
    bare = [replace(face, gain=None, spots=None) for face in faces]
    _, after = augmented(ACTIVE[name], bare, 1)
    _, known = augmented(ACTIVE[name], faces, 1)
    assert after.gain is None and after.spots is None
    assert np.array_equal(after.degraded, known.degraded) and np.array_equal(after.target, known.target)


@every
def test_who_may_drop_maps_says_so(name, faces):
    """Only an augmentation with `drops_maps` ever gives a pair of known maps without them."""
    kept = [augmented(ACTIVE[name], faces, seed)[1].gain is not None for seed in range(5)]
    assert all(kept) is not ACTIVE[name].drops_maps


@every
def test_something_changes(name, faces):
    """The options of these tests do make the augmentation act."""
    changes = [augmented(ACTIVE[name], faces, seed) for seed in range(8)]
    assert any(not np.array_equal(before.degraded, after.degraded) for before, after in changes)


@pytest.mark.parametrize("name", IDLE)
def test_an_idle_augmentation_changes_nothing(name, faces):
    """Probability 0, scale 1, gain 1: every value of the patch is one of the image."""
    for seed in range(5):
        before, after = augmented(IDLE[name], faces, seed)
        if isinstance(IDLE[name], CropAugmentation):
            window = np.lib.stride_tricks.sliding_window_view(faces[0].degraded, (SIDE_PX, SIDE_PX, 3))
            assert (window == after.degraded).all(axis=(2, 3, 4, 5)).sum() == 1
        else:
            assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(arrays(before), arrays(after), strict=True))


@every
def test_arrays_are_contiguous(name, faces):
    """Patches are stacked to batches without a detour."""
    assert all(array.flags.c_contiguous for array in arrays(augmented(ACTIVE[name], faces, 3)[1]))


@pytest.mark.parametrize("name", ["random_resize", "spot_crop"])
def test_an_image_smaller_than_the_patch_is_named(name, faces):
    """A cropping augmentation does not invent pixels."""
    with pytest.raises(DataError, match=r"96x96 pixels, smaller than the patch of 97"):
        ACTIVE[name].crop(faces[0], 97, np.random.default_rng(0))
    whole = ACTIVE[name].crop(faces[0], 96, np.random.default_rng(0))
    assert whole.degraded.shape == (96, 96, 3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("random_resize", {"scale_range": [1.5, 0.5]}),
        ("random_resize", {"scale_range": [0, 1]}),
        ("spot_crop", {"share": 1.1}),
        ("mask_shift", {"probability": -0.1}),
        ("mask_shift", {"reach": [0, 0.5]}),
        ("mask_shift", {"edge_levels": 31}),
        ("channel_gain", {"gain_range": [0, 1]}),
        ("jpeg", {"quality_range": [0, 50]}),
        ("jpeg", {"probability": 2}),
        ("cutblur", {"size_range": [0.2, 1.2]}),
        ("cutblur", {"probability": 2}),
        ("mixup", {"alpha": 0}),
        ("mixup", {"probability": 2}),
        ("photometric", {"brightness": [1.3, 0.7]}),
        ("photometric", {"white_balance": [0, 1]}),
        ("photometric", {"hue_degrees": 181}),
    ],
)
def test_options_out_of_range_are_errors(name, options):
    """The message has the component, the value and what is allowed."""
    with pytest.raises(BenchmarkError, match=rf"'{name}': .*(must|write)"):
        Registry().create("augmentation", name, options)
