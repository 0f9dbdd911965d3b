"""The denoising protocol: noise of the strength asked for, the same whenever it is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.data import Pair, in_levels
from benchmark.data.augmentations.gaussian_noise import GaussianNoise
from benchmark.data.cache import cached
from benchmark.data.sources.noise import Noise
from benchmark.errors import DataError
from benchmark.evaluation.baselines import BASELINE_FITS
from benchmark.evaluation.evaluate import evaluate


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Six pictures of middle greys, which no noise of 25 levels leads out of 8 bits."""
    folder = tmp_path / "clean"
    folder.mkdir()
    for index in range(6):
        Image.new("RGB", (128, 96), (110 + 5 * index, 128, 140)).save(folder / f"p{index}.png")
    return folder


def noise_of(pair: Pair) -> np.ndarray:
    return pair.degraded.astype(float) - pair.target


@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_noise_has_its_strength_and_is_white(clean: Path, sigma: float) -> None:
    """Mean 0, standard deviation sigma, neighbours and channels independent: what published tables assume."""
    noise = noise_of(Noise(clean, sigma).read(2))
    count = noise.size
    assert abs(noise.mean()) < 4 * sigma / count**0.5
    assert noise.std() == pytest.approx(sigma, rel=0.02)  # four standard errors are 1.5 %; clipping takes 1 % of 50
    for neighbour in (noise[1:] * noise[:-1], noise[:, 1:] * noise[:, :-1], noise[..., 0] * noise[..., 1]):
        assert abs(neighbour.mean() / sigma**2) < 0.03


def test_noise_is_fixed_by_seed_and_name(clean: Path) -> None:
    """Read again, in another order or from a larger folder, an image has the same noise; no two images share theirs."""
    source = Noise(clean)
    first = [source.read(index) for index in range(6)]
    for file in clean.glob("p[135].png"):
        file.unlink()
    for again in (Noise(clean).read(index) for index in (2, 1, 0)):
        (same,) = (pair for pair in first if pair.name == again.name)
        assert np.array_equal(same.degraded, again.degraded)
    assert not np.array_equal(noise_of(first[0]), noise_of(first[1]))
    assert not np.array_equal(noise_of(Noise(clean, seed=1).read(0)), noise_of(first[0]))


def test_unclipped_noise_leaves_the_range_and_is_exact(clean: Path, tmp_path: Path) -> None:
    """`clip: false`: float32 below 0 on black; in 8 bits it is the clipped pair; a cache gives it back bit for bit."""
    Image.new("RGB", (128, 96)).save(clean / "p0.png")
    source, clipped = Noise(clean, clip=False), Noise(clean)
    pair = source.read(0)
    assert pair.degraded.dtype == np.float32 and pair.degraded.min() < -60
    assert abs(noise_of(pair).mean()) < 0.6 and noise_of(pair).std() == pytest.approx(25, rel=0.02)
    assert np.array_equal(in_levels(pair.degraded), clipped.read(0).degraded)
    assert source.fingerprint != clipped.fingerprint
    stored = cached(source, tmp_path / "cache", 1).read(0)
    assert stored.degraded.dtype == np.float32 and np.array_equal(stored.degraded, pair.degraded)
    flipped = pair.map_spatial(lambda image: image[:, ::-1])
    assert flipped.degraded.dtype == np.float32 and flipped.degraded.min() == pair.degraded.min()


def test_unclipped_noise_is_scored_in_8_bits_and_reaches_the_network_as_it_is(clean: Path) -> None:
    """What restores gets the values below 0; doing nothing is scored as the image that would be saved."""
    Image.new("RGB", (128, 96)).save(clean / "p0.png")
    given: list[np.ndarray] = []

    def restore(image: np.ndarray) -> np.ndarray:
        given.append(image)
        return BASELINE_FITS["identity"]([])(image)

    unclipped = [scored.metrics for scored in evaluate(restore, Noise(clean, clip=False))]
    clipped = [scored.metrics for scored in evaluate(BASELINE_FITS["identity"]([]), Noise(clean))]
    assert min(image.min() for image in given) < -60
    assert unclipped == clipped


def test_levels_share_one_field(clean: Path) -> None:
    """The noise of 25 is that of 15 times 25/15, up to rounding, so levels can be compared image by image."""
    weak, strong = (noise_of(Noise(clean, sigma).read(0)) for sigma in (15, 25))
    assert np.abs(strong - weak * 25 / 15).max() < 0.5 + 0.5 * 25 / 15 + 1e-3


def test_the_fingerprint_follows_options_and_files(clean: Path) -> None:
    """Another sigma or seed, or another file, is other data; equal ones are the same."""
    prints = {Noise(clean, *options).fingerprint for options in ((25, 0), (25, 1), (50, 0))}
    assert len(prints) == 3
    assert Noise(clean, 25.0).fingerprint == Noise(clean, 25).fingerprint
    Image.new("RGB", (128, 97)).save(clean / "p0.png")
    assert Noise(clean).fingerprint not in prints


@pytest.mark.parametrize("options", [{"sigma": 0}, {"sigma": -1}, {"sigma": 256}, {"seed": -1}])
def test_options_out_of_range_are_errors(clean: Path, options: Mapping[str, Any]) -> None:
    """The message names the option and its range."""
    with pytest.raises(DataError, match=f"noise: {next(iter(options))} is .*; it must be"):
        Noise(clean, **options)


def test_new_noise_at_each_step(clean: Path) -> None:
    """The augmentation replaces the noise of the source by noise of its own range, and keeps the target."""
    pair, rng = Noise(clean, 50).read(0), np.random.default_rng(0)
    one, other = (GaussianNoise((15, 15)).apply(pair, rng) for _ in range(2))
    assert not np.array_equal(one.degraded, other.degraded) and np.array_equal(one.target, pair.target)
    assert noise_of(one).std() == pytest.approx(15, rel=0.02)
    blind = [noise_of(GaussianNoise((0, 50)).apply(pair, rng)).std() for _ in range(60)]
    assert min(blind) < 10 and max(blind) > 40
    assert np.array_equal(GaussianNoise((0, 0)).apply(pair, rng).degraded, pair.target)


@pytest.mark.parametrize("sigma_range", [(-1, 5), (5, 1), (0, 256)])
def test_a_range_that_is_none_is_refused(sigma_range: tuple[float, float]) -> None:
    """Smallest first, both from 0 to 255."""
    with pytest.raises(ValueError, match="sigma_range"):
        GaussianNoise(sigma_range)
