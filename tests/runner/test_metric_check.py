"""Metrics that do not apply to the data are an error before the first step."""

import shutil
from pathlib import Path

import pytest

from benchmark.errors import DataError
from benchmark.runner.context import with_cached_sources
from benchmark.runner.preflight import check_metrics, metrics_in_use
from tests.cli.test_cli import Command, Edited
from tests.runner.small_runs import prepared

CLAIM = "claims: [{id: similar, text: a claim, better: base, worse: identity, metric: ms_ssim}]\n"
SEARCH = "search: {metric: score, trials: 2, parameters: {protocol.psnr.lr: {choices: [1e-4, 1e-3]}}}\n"
TUNING = "tuning: {metric: score, candidates: {low: {protocol.psnr.lr: 1e-4}, high: {protocol.psnr.lr: 1e-3}}}\n"


@pytest.mark.parametrize(
    ("name", "addition", "message"),
    [
        ("run", "report: {primary: score}\n", "report.primary: no image of data.test has score ("),
        ("run", CLAIM, "claim 'similar': no image of data.test has ms_ssim ("),
        ("run", TUNING, "tuning.metric: no image of data.val has score ("),
        ("search", SEARCH, "search.metric: no image of data.val has score ("),
    ],
)
def test_nothing_is_trained_for_a_metric_that_images_are_too_small_for(
    command: Command, experiment_file: Path, name: str, addition: str, message: str
) -> None:
    """MS-SSIM needs 161 pixels a side, the pairs have 64: one line, with what to do, and no stage."""
    experiment_file.write_text(experiment_file.read_text() + addition)
    code, _, err = command(name, "small.yaml", cwd=experiment_file.parent)
    assert code == 2 and message in err and "the first one has 64 x 64 pixels" in err, err
    assert "Traceback" not in err and not list(experiment_file.parent.rglob("state.pt"))
    assert not list(experiment_file.parent.rglob("meta.json"))


def test_a_metric_of_skin_is_refused_where_the_source_knows_no_skin(command: Command, experiment_file: Path) -> None:
    """Folders of pairs do not: one line before the first step says which setting, which metric and what is unknown."""
    experiment_file.write_text(experiment_file.read_text() + "metrics: [psnr_y, ciede2000_skin]\n")
    code, _, err = command("run", "small.yaml", cwd=experiment_file.parent)
    assert code == 2 and "metrics: ciede2000_skin: no image of data.test has ciede2000_skin (" in err, err
    assert "its source does not know skin; choose" in err
    assert "Traceback" not in err and not list(experiment_file.parent.rglob("meta.json"))


def test_pairs_without_spots_have_no_metric_of_spots(edited: Edited, pairs: Path, tmp_path: Path) -> None:
    """Where degraded and target are the same images, nothing is to be mended; PSNR applies all the same."""
    shutil.copytree(pairs / "test/target", tmp_path / "same")
    file = edited(f"degraded: {pairs}/test/degraded", f"degraded: {tmp_path}/same")
    ready = prepared(file)
    context = with_cached_sources(ready.plan.experiment.data, ready.context, lambda event: None)
    check_metrics(ready.plan, context, metrics_in_use(ready.plan.experiment))
    for name in ("psnr_spots", "fixed_share"):
        with pytest.raises(DataError, match=f"claim 'c': no image of data.test has {name}"):
            check_metrics(ready.plan, context, {"claim 'c'": ("test", name)})
        check_metrics(ready.plan, context, {"claim 'c'": ("val", name)})
