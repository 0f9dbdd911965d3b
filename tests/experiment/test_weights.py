"""`model.weights` in an experiment: where the file is looked for, what it is known by, what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import ExperimentError
from benchmark.experiment.load import load
from benchmark.experiment.plan import Environment, Plan, make_plan, network_id, source_id
from benchmark.files import digest_of
from benchmark.model import build
from benchmark.model.weight_files import write_weights
from benchmark.registry import Registry

Edited = Callable[[str, str], Path]

ROW = """\
  published:
    nafnet:
      model.backbone: {width: 8, depths: [1, 1, 1, 1, 1]}
      model.head: {name: residual, padding: zeros}
      model.weights: %s
      protocol.order: []
"""


@pytest.fixture
def with_row(experiment_file: Path) -> Callable[[object], Path]:
    """The small experiment with a row of published weights."""

    def add(weights: object) -> Path:
        experiment_file.write_text(experiment_file.read_text() + ROW % weights)
        return experiment_file

    return add


def plan_of(file: Path, *sets: str, device: str = "cpu") -> Plan:
    experiment = load(file, Registry(), sets)
    items = [item for row in experiment.rows for item in row.recipe.data.items()]
    prints = {source_id(spec): split for split, spec in items}
    return make_plan(experiment, prints, Environment(1, device, "2.13.0"), Registry())


def row_of(plan: Plan, row: str) -> Any:
    return next(planned for planned in plan.rows if planned.row == row)


def test_the_file_is_relative_to_the_experiment(
    with_row: Callable[[object], Path], published_nafnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the command is called; the resolved row has its absolute path and its digest."""
    file = with_row(published_nafnet.name)
    monkeypatch.chdir("/")
    found = load(file, Registry()).rows[-1].recipe.model.as_config()["weights"]
    assert found == {"file": str(published_nafnet), "sha256": digest_of(published_nafnet)}


def test_what_is_set_is_relative_to_where_the_command_is_called(
    edited: Edited, published_nafnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--set model.weights=...` takes a path as a shell would."""
    file = edited("{name: nafnet, width: 4, depths: [1, 1, 1]}", "{name: nafnet, width: 8, depths: [1, 1, 1, 1, 1]}")
    (tmp_path / "elsewhere").mkdir()
    published_nafnet.rename(tmp_path / "elsewhere/w.pth")
    monkeypatch.chdir(tmp_path / "elsewhere")
    sets = ("model.weights=w.pth", "model.head={name: residual, padding: zeros}", "protocol.order=[psnr]")
    rows = load(file, Registry(), (*sets, "tables=null")).rows
    assert rows[0].recipe.model.weights.file == str(tmp_path / "elsewhere/w.pth")


@pytest.mark.parametrize("spelling", ["model.weights: %s", "model: {weights: %s}"])
def test_written_settings_mean_the_same_elsewhere(
    with_row: Callable[[object], Path], published_nafnet: Path, spelling: str
) -> None:
    """The merged settings, which a run keeps, name the file by its absolute path, in rows of tables, too."""
    file, name = with_row(published_nafnet.name), published_nafnet.name
    file.write_text(file.read_text().replace(f"model.weights: {name}", spelling % name))
    assert f'"{published_nafnet}"' in json.dumps(load(file, Registry()).document.data["tables"])


def test_the_content_is_what_counts(with_row: Callable[[object], Path], published_nafnet: Path, tmp_path: Path) -> None:
    """A copy under another name has the same keys and shares what is measured; another content has its own."""
    file = with_row(published_nafnet.name)
    text = file.read_text()
    shutil.copy(published_nafnet, tmp_path / "copy.pth")
    (tmp_path / "other.pth").write_bytes(published_nafnet.read_bytes() + b"\0")
    rows = [row_of(plan_of(file), "published.nafnet")]
    for name in ("copy.pth", "other.pth"):
        file.write_text(text.replace(published_nafnet.name, name))
        rows.append(row_of(plan_of(file), "published.nafnet"))
    first, copy, other = rows
    assert first.config_hash == copy.config_hash != other.config_hash
    networks = [network_id(row.recipe.model, row.recipe.gates) for row in rows]
    assert networks[0] == networks[1] != networks[2]


def test_stages_from_other_weights_are_other_stages(with_row: Callable[[object], Path], published_nafnet: Path) -> None:
    """Weights to begin with belong to the key of the first stage; the seed, which draws the patches, still does."""
    file = with_row(published_nafnet.name)
    file.write_text(file.read_text().replace("protocol.order: []", "protocol.order: [psnr]"))
    text = file.read_text()
    plans = [plan_of(file, "seeds=[0, 1]")]
    file.write_text(text.replace(f"      model.weights: {published_nafnet.name}\n", ""))
    plans.append(plan_of(file, "seeds=[0, 1]"))
    keys = [row.stages[0].key for plan in plans for row in plan.rows if row.row == "published.nafnet"]
    assert len(set(keys)) == 4


def test_a_row_may_train_nothing_if_it_has_weights(with_row: Callable[[object], Path], published_nafnet: Path) -> None:
    """It has no stage, ends with the weights it begins with, and its record belongs to the device it is tested on."""
    file = with_row(published_nafnet.name)
    run = row_of(plan_of(file), "published.nafnet")
    assert (run.stages, run.last_key, run.recipe.config["protocol"]) == ((), None, {"order": []})
    assert row_of(plan_of(file, device="cuda"), "published.nafnet").config_hash != run.config_hash


def test_a_row_without_stages_or_weights_is_refused(edited: Edited) -> None:
    """An empty order says which of the two to give."""
    file = edited("{protocol.order: [coarse]}", "{protocol.order: []}")
    with pytest.raises(
        ExperimentError, match=r"yaml:\d+: protocol\.order: is empty, .* or give model\.weights"
    ) as caught:
        load(file, Registry())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nothing.pth", "."])
def test_a_file_that_is_not_there_is_told(with_row: Callable[[object], Path], name: str) -> None:
    """With the line that names it, before anything else happens; a folder without weights is no better."""
    with pytest.raises(
        ExperimentError, match=r"small\.yaml:\d+: model\.weights: /.*: No such file or directory; expected"
    ):
        load(with_row(name), Registry())


def record_folder(folder: Path, head: dict[str, Any]) -> Path:
    model = {"backbone": {"name": "nafnet", "width": 8, "depths": [1, 1, 1, 1, 1]}, "head": head}
    folder.mkdir()
    write_weights(build(model), folder / "weights.safetensors")
    (folder / "record.json").write_text(json.dumps({"status": "done", "config": {"model": model}}))
    return folder


def test_the_folder_of_a_trained_row_stands_for_its_weights(with_row: Callable[[object], Path], tmp_path: Path) -> None:
    """Its weights file is what is meant."""
    folder = record_folder(tmp_path / "seed0", {"name": "residual", "kernel_size": 3, "padding": "zeros"})
    found = load(with_row(folder), Registry()).rows[-1].recipe.model.as_config()["weights"]
    assert found["file"] == str(folder / "weights.safetensors")


def test_weights_of_a_row_with_other_options_are_refused(with_row: Callable[[object], Path], tmp_path: Path) -> None:
    """Padding changes no shape, so only the record can tell; it does."""
    folder = record_folder(tmp_path / "seed0", {"name": "residual", "kernel_size": 3, "padding": "reflect"})
    with pytest.raises(ExperimentError, match=r'padding "reflect" in its head, model\.head has "zeros"'):
        load(with_row(folder), Registry())


def test_a_search_may_choose_among_weights(edited: Edited, published_nafnet: Path, tmp_path: Path) -> None:
    """Choices of `model.weights` are files, by absolute path in what is written."""
    backbone = "{name: nafnet, width: 8, depths: [1, 1, 1, 1, 1]}"
    edited(
        "backbone: {name: nafnet, width: 4, depths: [1, 1, 1]}\n  head: {name: degradation}",
        f"backbone: {backbone}\n  head: {{name: residual, padding: zeros}}\n  weights: {published_nafnet.name}",
    )
    shutil.copy(published_nafnet, tmp_path / "other.pth")
    file = edited(
        "seeds: [0]",
        "seeds: [0]\n"
        f"search: {{parameters: {{model.weights: {{choices: [{published_nafnet.name}, other.pth, null]}}}}}}",
    )
    search = load(file, Registry()).search
    assert search is not None
    assert search.parameters[0].extremes == (str(published_nafnet), str(tmp_path / "other.pth"), None)
