"""The contract of every metric, of this project and of a plugin."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import ComponentError
from benchmark.evaluation.evaluate import facts_of, load_metrics, score_image, summarise
from benchmark.evaluation.metrics import Image, Metric
from benchmark.registry import Registry
from reports.metrics import IMAGE_METRICS, Direction, own_metric
from reports.schema import MetricFacts

METRICS = load_metrics(Registry(), Registry().names("metric"))
OF_EVERY_ROW = load_metrics(Registry())
BOUNDS = {
    "psnr": (0, 100),
    "psnr_spots": (0, 100),
    "psnr_background": (0, 100),
    "score": (-0.5, 1),
    "ssim": (-1, 1),
    "ms_ssim": (-1, 1),
    "harm": (0, 255),
    "fixed_share": (-math.inf, 1),
    "texture": (0, math.inf),
    "ciede2000_skin": (0, 150),
    "psnr_edges": (0, 100),
    "psnr_y": (0, 100),
    "residual_spectrum": (0, 1),
    "ssim_y": (-1, 1),
}
each_metric = pytest.mark.parametrize("name", METRICS)


@pytest.fixture(scope="module")
def images() -> tuple[Image, Image]:
    """Degraded and target image: structure at every scale, and strong spots."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:170, :165]
    smooth = 120 + 60 * np.sin(rows / 9)[..., None] * np.cos(columns[..., None] / (7, 11, 13))
    target = np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
    degraded = np.clip(target + rng.normal(0, 3, target.shape), 0, 255).astype(np.uint8)
    degraded[20:30, 40:50] = 0
    return degraded, target


def with_error(target: Image, levels: float) -> Image:
    """The target with noise."""
    noise = np.random.default_rng(1).normal(0, levels, target.shape)
    return np.clip(target + noise, 0, 255).astype(np.uint8)


def with_tint(target: Image, levels: float) -> Image:
    """The target with a little noise and a broad tint: error that only the tint makes larger."""
    return np.clip(with_error(target, 5) + levels * np.array([1, 0.5, 0]), 0, 255).astype(np.uint8)


def skin_of(image: Image) -> np.ndarray:
    """A mask of skin: the upper half."""
    skin = np.zeros(image.shape[:2], np.uint8)
    skin[: len(skin) // 2] = 255
    return skin


def value(name: str, restored: Image, images: tuple[Image, Image]) -> float:
    """What a metric alone gives, of a pair that has all that a pair can have."""
    return score_image(restored, *images, {name: METRICS[name]}, skin_of(restored), 20.0)[name]


def key_of(name: str, number: float) -> float:
    """The smaller the better, by the direction of the metric."""
    metric = METRICS[name]
    return own_metric(name, metric.unit, metric.direction, metric.formula, metric.decimals).sort_key(number)


def test_the_metrics_are_those_of_the_reports() -> None:
    """Name, unit, direction and formula have one home, and reports keep their order."""
    assert list(OF_EVERY_ROW) == list(IMAGE_METRICS)
    for name, metric in OF_EVERY_ROW.items():
        listed = IMAGE_METRICS[name]
        assert (metric.unit, metric.direction, metric.formula) == (listed.unit, listed.direction, listed.formula)
    assert facts_of(OF_EVERY_ROW) == {}


def test_a_metric_that_is_named_comes_after_those_of_every_row_with_its_facts() -> None:
    """The file alone holds name, unit, direction, formula and decimals; a record carries them to the reports."""
    metrics = load_metrics(Registry(), ["psnr_y", "ciede2000_skin"])
    assert list(metrics) == [*IMAGE_METRICS, "ciede2000_skin", "psnr_y"]
    facts = facts_of(metrics)
    assert list(facts) == ["ciede2000_skin", "psnr_y"]
    assert (facts["ciede2000_skin"].unit, facts["ciede2000_skin"].direction) == ("ΔE00", "lower")
    assert facts["psnr_y"].decimals == 2


@each_metric
def test_identical_images_have_the_best_value(name: str, images: tuple[Image, Image]) -> None:
    """A restored image that equals the target has the end of the range to which the direction points, or 1."""
    low, high = BOUNDS[name]
    if name == "residual_spectrum":  # a share of an error that is not there
        assert score_image(images[1], *images, {name: METRICS[name]}) == {}
        return
    best = {"higher": high, "lower": low, "near 1": 1}[METRICS[name].direction]
    assert value(name, images[1].copy(), images) == pytest.approx(best, abs=1e-6)


@each_metric
def test_more_error_is_worse(name: str, images: tuple[Image, Image]) -> None:
    """Values stay in their range, and more noise gives a larger sort key: the direction is the true one."""
    damaged = with_tint if name == "residual_spectrum" else with_error
    values = [value(name, damaged(images[1], levels), images) for levels in (2, 20, 60)]
    assert all(BOUNDS[name][0] <= number <= BOUNDS[name][1] for number in values)
    keys = [key_of(name, number) for number in values]
    assert keys == sorted(keys)
    assert keys[0] < keys[-1]


@each_metric
def test_sharing_computations_changes_nothing(name: str, images: tuple[Image, Image]) -> None:
    """Scored alone or with all others, a metric gives the same bits; the images stay as they are."""
    restored, (degraded, target) = with_error(images[1], 5), images
    before = [image.copy() for image in (restored, degraded, target)]
    together = score_image(restored, degraded, target, METRICS, skin_of(restored), 20.0)
    assert together[name] == value(name, restored, images)
    assert all(np.array_equal(*both) for both in zip(before, (restored, degraded, target), strict=True))


@each_metric
def test_what_a_metric_does_not_need_is_not_read(name: str, images: tuple[Image, Image]) -> None:
    """Another degraded image changes only metrics that declare to need it, or its mask; skin likewise."""
    needs, restored, (degraded, target) = METRICS[name].needs, with_error(images[1], 5), images
    before = value(name, restored, images)
    other = degraded.copy()
    other[60:90, 60:90] = 255
    assert (value(name, restored, (other, target)) != before) == bool({"degraded", "mask"} & {*needs})
    without = score_image(restored, degraded, target, {name: METRICS[name]})
    assert without == ({} if "skin" in needs else {name: before})


@each_metric
def test_a_smaller_image_has_no_value(name: str, images: tuple[Image, Image]) -> None:
    """At the smallest side that a metric declares it has a value, one pixel below it has none."""
    side, restored = METRICS[name].min_side, with_error(images[1], 5)

    def scores(pixels: int) -> dict[str, float]:
        small = slice(15, 15 + pixels) if side < 150 else slice(0, pixels)
        cut = [image[small, small] for image in (restored, *images)]
        return score_image(*cut, {name: METRICS[name]}, np.full((pixels, pixels), 255, np.uint8), 20.0)

    assert side == 1 or (name in scores(side) and scores(side - 1) == {})


@each_metric
def test_one_image_has_a_mean(name: str, images: tuple[Image, Image]) -> None:
    """The summary of a single image is its value, without spread."""
    scores = score_image(with_error(images[1], 5), *images, METRICS, skin_of(images[0]), 20.0)
    assert summarise([scores])[name] == {"mean": scores[name], "std": 0.0, "n": 1}


def test_a_metric_of_ones_own_is_scored_and_described(own_metric: Path, images: tuple[Image, Image]) -> None:
    """Given as a plugin, it comes after the built-in metrics, and a record has its facts."""
    metrics = load_metrics(Registry((own_metric,)))
    assert list(metrics) == [*IMAGE_METRICS, "largest_error"]
    restored = images[1].copy()
    restored[0, 0, 0] ^= 64
    assert score_image(restored, *images, metrics)["largest_error"] == 64
    facts = MetricFacts(unit="levels", direction="lower", meaning="max |restored - target|")
    assert facts_of(metrics) == {"largest_error": facts}


class _Given(Metric):
    """Gives the same to all images."""

    formula = "a number"
    direction: Direction = "higher"

    def __init__(self, given: object) -> None:
        self.given = given

    def score(self, restored: Image, target: Image, degraded: Image, mask: np.ndarray) -> float | None:
        return self.given  # type: ignore[return-value]


@pytest.mark.parametrize(("given", "message"), [(math.nan, "gives nan"), (math.inf, "gives inf"), ("a", "ValueError")])
def test_what_is_not_a_finite_number_is_an_error(given: object, message: str, images: tuple[Image, Image]) -> None:
    """The message names the metric; None is no error but says that the metric does not apply."""
    with pytest.raises(ComponentError, match=f"metric 'own'.* {message}"):
        score_image(images[1], *images, {"own": _Given(given)})
    assert score_image(images[1], *images, {"own": _Given(None)}) == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"lower"', '"less"', "direction is 'less'; use one of higher, lower, near 1"),
        ("    formula", "    needs = ('hair',)\n    formula", r"needs is \('hair',\); use some of target,"),
        ("    formula", "    recipe", "needs a class attribute 'formula'"),
        ("def score", "def value", "score"),
    ],
)
def test_a_metric_that_breaks_the_contract_is_an_error(own_metric: Path, old: str, new: str, message: str) -> None:
    """A wrong direction, a missing fact and a missing method are errors before anything is scored."""
    file = own_metric.with_name("broken.py")
    file.write_text(own_metric.read_text().replace(old, new))
    with pytest.raises(ComponentError, match=message):
        load_metrics(Registry((file,)))


def test_a_plugin_does_not_replace_a_built_in_metric(own_metric: Path) -> None:
    """A metric file called psnr.py is refused; a loss file of the name of a metric is not."""
    file = own_metric.with_name("psnr.py")
    file.write_text(own_metric.read_text())
    with pytest.raises(ComponentError, match="'psnr' is built in"):
        load_metrics(Registry((file,)))
    loss = own_metric.with_name("texture.py")
    loss.write_text((Path(__file__).parents[2] / "losses/l1.py").read_text())
    assert set(load_metrics(Registry((loss,)))) == set(OF_EVERY_ROW)
