"""Maps as images: which, where, and on what scale; and the scores of the rows that supervise them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.files import read_json
from benchmark.inference.restore_images import map_image
from benchmark.model import load, restore_with_maps
from benchmark.runner.context import with_cached_sources
from benchmark.runner.maps import write_map_images
from benchmark.runner.plan_file import write_plan
from benchmark.runner.preflight import preflight
from benchmark.runner.record_writer import write_pairs
from benchmark.runner.run import run_rows
from reports import first_examples, write

EXPERIMENT = """\
name: small
data:
  train: {source: synthetic_faces, preset: severe, count: 4, size: 64, seed: 0}
  val: {source: synthetic_faces, preset: severe, count: 1, size: 64, seed: 1}
  test: {source: synthetic_faces, preset: severe, count: 4, size: 64, seed: 2}
model:
  backbone: {name: nafnet, width: 4, depths: [1, 1, 1]}
  head: {name: degradation}
protocol:
  order: [train]
  train: {steps: 3, batch: 2, patch: 32, lr: 1e-3, loss: {l1: 1.0, map_l1: 1.0}}
photographs: false
seeds: [0, 1]
tables:
  heads:
    mask: {model.head: {name: mask_blend}, protocol.train.loss.map_l1: null}
    direct_rgb: {model.head: {name: rgb}, protocol.train.loss.map_l1: null}
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on four test faces, with its report; for reading only."""
    folder = tmp_path_factory.mktemp("maps")
    (folder / "small.yaml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHMARK_CACHE", str(folder / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        selection = Selection(folder / "small.yaml", folder / "run", (), (), (), "cpu", (), replace=False)
        ready = prepare(selection)
        context = with_cached_sources(ready.plan.experiment.data, ready.context, lambda event: None)
        write_plan(ready.whole, ready.plan, context.output, context.command)
        write_pairs(context.output / "pairs", context.source(ready.plan.baselines[0].data["test"]))
        run_rows(preflight(ready.plan, context, replace=False), context, ["cpu"], lambda event: None)
        write_map_images(ready.whole, first_examples(folder / "run"), context)
    write(folder / "run")
    return folder / "run"


def pictures_in(folder: Path) -> dict[str, set[str]]:
    """Names of maps by image."""
    found: dict[str, set[str]] = {}
    for file in folder.glob("*.png"):
        image, _, name = file.stem.partition(".")
        found.setdefault(image, set()).add(name)
    return found


@pytest.mark.slow
def test_maps_of_the_images_that_the_report_shows_are_written(output: Path) -> None:
    """Three images, of the first seed of each row whose head predicts maps; the truth once; nothing for the others."""
    base = pictures_in(output / "base/seed0/maps")
    assert len(base) == 3 and all(names == {"gain", "spots"} for names in base.values())
    mask = pictures_in(output / "heads.mask/seed0/maps")
    assert mask.keys() == base.keys() and all(names == {"mask", "proposal"} for names in mask.values())
    assert pictures_in(output / "pairs/maps") == base
    for folder in ("base/seed1", "heads.direct_rgb/seed0", "identity"):
        assert not (output / folder / "maps").exists()


def test_the_page_shows_maps_predicted_and_true(output: Path) -> None:
    """Under base what it predicted, under the target the truth, with the scale in words."""
    page = (output / "report/index.html").read_text()
    for image in pictures_in(output / "base/seed0/maps"):
        assert all(
            f"{image}, {column}, map {name}" in page for column in ("base", "target") for name in ("gain", "spots")
        )
    assert "In the other maps, grey is 0" in page


def test_a_picture_is_the_map_that_the_stored_weights_predict(output: Path) -> None:
    """Grey level 128 is 0 and a level is 1/255, so the picture tells D to half an 8-bit level."""
    folder = output / "base/seed0"
    restorer = load(folder)
    for image in pictures_in(folder / "maps"):
        degraded = np.array(Image.open(output / f"pairs/degraded/{image}.png"))
        maps = restore_with_maps(restorer, degraded, next(restorer.parameters()).device)[1]
        stored = np.asarray(Image.open(folder / f"maps/{image}.spots.png")).astype(float)
        assert np.abs((stored - 128) / 255 - maps["spots"]).max() < 0.51 / 255


def test_supervised_maps_are_scored_beside_the_best_constant(output: Path) -> None:
    """The records of base, and of no other row, have the errors of K and D and of their best constants."""
    names = {"gain_error", "gain_error_constant", "spots_error", "spots_error_constant"}
    for row, expected in (("base", names), ("heads.mask", set[str]()), ("heads.direct_rgb", set[str]())):
        scores = read_json(output / row / "seed0/record.json")["scores"]["test"]
        assert names & set(scores) == expected
    assert "best constant" in (output / "report/report.md").read_text()


def test_levels_of_a_map() -> None:
    """A mask is black at 0 and white at 1, a gain grey at 0; both are cut, and one channel makes a grey picture."""
    values = np.array([-1, 0, 0.25, 0.5, 1], np.float32).reshape(1, 5, 1)
    assert map_image("mask", values).tolist() == [[0, 0, 64, 128, 255]]
    assert map_image("gain", values).tolist() == [[0, 128, 192, 255, 255]]
    assert map_image("spots", np.zeros((2, 3, 3), np.float32)).tolist() == [[[128] * 3] * 3] * 2
