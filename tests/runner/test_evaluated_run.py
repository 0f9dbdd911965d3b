"""Any network on any test set: scores, baselines and intervals, as a run that `compare` and `leaderboard` take."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor, nn

import benchmark
from benchmark.data.sources import open_source
from benchmark.errors import BenchmarkError, ComponentError, DataError, ExperimentError
from benchmark.evaluation.conventions import Convention, convention_of, metrics_of
from benchmark.evaluation.metrics import ImageComparison
from benchmark.evaluation.network_scores import interval_of
from benchmark.registry import Registry
from benchmark.runner.evaluated_run import evaluate_folder
from reports.comparison.compare import compare
from reports.comparison.leaderboard import leaderboard

FACES = "synthetic_faces: {preset: severe, count: 3, size: 64}"


class Brighter(nn.Module):
    """Adds a level; works in even sides only."""

    def forward(self, image: Tensor) -> Tensor:
        assert not self.training and image.shape[-1] % 2 == 0
        return image + 4 / 255


def test_any_module_is_scored_beside_baselines() -> None:
    """Its scores are those of the images that it makes; its mode stays as it was."""
    module = Brighter().train()
    result = benchmark.evaluate(module, data=FACES, device="cpu")
    assert module.training and list(result.scores) == ["base", "identity", "closing"]
    source = open_source({"source": "synthetic_faces", "preset": "severe", "count": 3, "size": 64}, Registry())
    for index, scored in enumerate(result.scores["base"]):
        pair = source.read(index)
        expected = np.clip(pair.degraded.astype(int) + 4, 0, 255)
        assert np.array_equal(scored.restored, expected)
        error = np.square(expected - pair.target.astype(int)).mean()
        assert scored.metrics["psnr"] == pytest.approx(10 * np.log10(255**2 / error))
    assert {"psnr_spots", "harm"} <= set(result.intervals["base"])


def test_intervals_are_those_of_student() -> None:
    """Over images; the difference to doing nothing is paired; one image has no interval."""
    values = [30.1, 31.4, 29.0, 33.3]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    interval = interval_of(values)
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))
    assert interval_of([3.0]).low is None
    cut = interval_of([0.2, 0.9], (0, 1))
    assert (cut.low, cut.mean, cut.high) == (0, pytest.approx(0.55), 1)
    assert interval_of([0.2, 1.9], (0, 1)).high == pytest.approx(11.85, abs=0.01)  # of another metric of this name
    result = benchmark.evaluate(lambda image: image, data=FACES, device="cpu")
    difference = result.intervals["base - identity"]["psnr"]
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)


def test_the_result_is_a_row_that_compare_and_leaderboard_take(tmp_path: Path) -> None:
    """Two networks on one test set stand in one table; on another test set they may not."""
    benchmark.evaluate(Brighter(), data=FACES, name="brighter", output=tmp_path / "runs/brighter", device="cpu")
    benchmark.evaluate(lambda image: image, data=FACES, name="nothing", output=tmp_path / "runs/nothing", device="cpu")
    compared = compare([tmp_path / "runs/nothing", tmp_path / "runs/brighter"])
    assert not compared.damage and compared.reference == "nothing/base"
    assert any("scores the same on each of 3 test images" in note for note in compared.notes)
    (board,) = leaderboard(tmp_path / "runs").boards
    rows = [str(cell.value) for line in board.ranking.lines for cell in line if "/base" in str(cell.value)]
    assert sorted(rows) == ["brighter/base", "nothing/base"]
    with pytest.raises(BenchmarkError, match="holds a run already; choose another folder"):
        benchmark.evaluate(lambda image: image, data=FACES, output=tmp_path / "runs/nothing", device="cpu")


def test_a_folder_of_restored_images(pairs: Path, tmp_path: Path) -> None:
    """With degraded images all metrics and baselines; without them what compares two images."""
    test = pairs / "test"
    result = evaluate_folder(test / "degraded", test / "target", test / "degraded", name="theirs")
    assert result.intervals["base"] == result.intervals["identity"]
    alone = evaluate_folder(test / "degraded", test / "target", None, name="theirs")
    assert list(alone.scores) == ["base"]
    assert alone.intervals["base"]["psnr"] == result.intervals["base"]["psnr"]
    assert "psnr" in alone.metrics and "harm" not in alone.metrics
    (tmp_path / "few").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "few/picture_00.png")
    with pytest.raises(DataError, match="few: has no image picture_01; it needs one for each"):
        evaluate_folder(tmp_path / "few", test / "target", test / "degraded", name="few")


def test_conventions_are_names() -> None:
    """The metric's name says what differs; Y with 4 px is what the project calls psnr_y and ssim_y already."""
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3), np.uint8)
    comparison = ImageComparison(images[0], images[1], images[0])
    usual = metrics_of(convention_of(["y_channel", "border: 4"]), Registry())
    assert list(usual) == ["psnr_y", "ssim_y"] and not metrics_of(convention_of(["rgb"]), Registry())
    cropped = ImageComparison(*(image[8:-8, 8:-8] for image in (images[0], images[1], images[0])))
    registry = Registry()
    for name, metric in metrics_of(convention_of(["border: 8"]), registry).items():
        plain = registry.create("metric", name.removesuffix("_border_8"), {})
        assert metric.compute(comparison) == pytest.approx(plain.compute(cropped), abs=1e-6)
    (name, metric), _ = metrics_of(Convention(is_luma=True, border=2), registry).items()
    weights = np.array([65.481, 128.553, 24.966]) / 255
    error = ((images[0].astype(float) - images[1])[2:-2, 2:-2] @ weights) ** 2
    assert name == "psnr_y_border_2"
    assert metric.compute(comparison) == pytest.approx(10 * np.log10(255**2 / error.mean()))
    with pytest.raises(ComponentError, match="no convention 'ycbcr'; use rgb, y_channel, and 'border: 4'"):
        convention_of(["ycbcr"])
    for names, shown in ((["border: 2", "border: 4"], "2 and 4"), (["y_channel", "rgb"], "rgb and y_channel")):
        with pytest.raises(ComponentError, match=f"{shown} as conventions exclude each other"):
            convention_of(names)


def test_sides_that_a_module_cannot_take_are_padded(pairs: Path) -> None:
    """To a multiple of `multiple_of`, and cropped again; what is no image is refused."""
    source = f"paired_folders: {{degraded: {pairs}/test/degraded, target: {pairs}/test/target}}"
    result = benchmark.evaluate(Brighter(), data=source, multiple_of=48, device="cpu")
    assert result.scores["base"][0].restored.shape == (64, 64, 3)
    with pytest.raises(DataError, match=r"the module gives \(1, 1, 32, 32\)"):
        benchmark.evaluate(nn.Conv2d(3, 1, 3, 2, 1), data=source, device="cpu")
    with pytest.raises(DataError, match="a int cannot be evaluated"):
        benchmark.evaluate(3, data=source)
    with pytest.raises(ExperimentError, match="synthetic_face"):
        benchmark.evaluate(Brighter(), data="synthetic_face")


def test_affine_needs_pairs_to_fit(pairs: Path) -> None:
    """With them it stands beside the others."""
    split = "paired_folders: {{degraded: {0}/{1}/degraded, target: {0}/{1}/target}}"
    result = benchmark.evaluate(
        torch.nn.Identity(), data=split.format(pairs, "test"), train=split.format(pairs, "train"), device="cpu"
    )
    assert list(result.scores) == ["base", "identity", "affine", "closing"]
    assert result.intervals["affine"]["psnr"].mean > result.intervals["identity"]["psnr"].mean
