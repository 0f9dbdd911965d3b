"""What a run leaves for others says nothing of the machine it was made on."""

import json
import shutil
from pathlib import Path

import pytest

from benchmark.cli.experiment_setup import Prepared, prepare
from benchmark.cli.options import Selection, command_line
from benchmark.experiment.portable_paths import portable_argument, portable_data, portable_text, relative_paths
from benchmark.runner.plan_file import write_plan
from benchmark.runner.row import RowProgress, new_record
from reports.schema import to_json


def ready(file: Path, *sets: str) -> Prepared:
    return prepare(Selection(file, file.parent / "runs/small", (), (), sets, "cpu", (), replace=False))


def test_a_moved_experiment_is_the_same(experiment_file: Path, pairs: Path, tmp_path: Path) -> None:
    """In another folder, with its pairs named by absolute paths, it has the same hashes and the same records."""
    plans = []
    for user in ("alice", "bob"):
        folder = tmp_path / user
        shutil.copytree(pairs, folder / "pairs")
        (folder / "small.yaml").write_text(experiment_file.read_text().replace(str(pairs), "pairs"))
        plan = ready(folder / "small.yaml", f"data.test.target={folder}/pairs/test/target").plan
        plans.append([(row.config_hash, row.config) for row in (*plan.rows, *plan.baselines)])
    assert plans[0] == plans[1]
    assert plans[0][0][1]["data"]["test"]["target"] == "pairs/test/target"


def test_records_and_plan_hold_no_absolute_path(
    experiment_file: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither settings nor the command line; the experiment beside them can be run again all the same."""
    command = ["run", str(experiment_file), "--set", f"data.test.root={tmp_path}", "--plugin", f"{tmp_path}/my net.py"]
    monkeypatch.setattr("sys.argv", ["benchmark", *command])
    monkeypatch.chdir(tmp_path)
    prepared = ready(experiment_file)
    context = prepared.context
    write_plan(prepared.whole, prepared.plan, context.output, context.command)
    records = [new_record(row, RowProgress(), context, 0.0) for row in (*prepared.plan.rows, *prepared.plan.baselines)]
    written = json.dumps([to_json(record) for record in records]) + (context.output / "plan.json").read_text()
    assert str(tmp_path.parent) not in written and str(pairs) not in written
    assert context.command == "python -m benchmark run small.yaml --set data.test.root=. --plugin 'my net.py'"
    again = ready(context.output / "experiment.yaml")
    assert str(pairs) not in (context.output / "experiment.yaml").read_text()
    assert [row.config_hash for row in again.plan.rows] == [row.config_hash for row in prepared.plan.rows]


def test_the_experiment_of_a_run_behind_a_link_finds_its_pairs(tmp_path: Path) -> None:
    """`..` leads up from the real folder."""
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far/away")
    (tmp_path / "pairs").mkdir()
    path = relative_paths({"a": [str(tmp_path / "pairs")]}, tmp_path / "near")["a"][0]
    assert (tmp_path / "near" / path).samefile(tmp_path / "pairs")


def test_the_name_of_the_user_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in folders outside the home folder; words that are no paths stay."""
    monkeypatch.setenv("HOME", "/home/alice")
    folder = Path("/data/exp")
    data = {"a": "/home/alice/pairs", "b": ["/scratch/alice/x", "alice", 3, None], "c": "/data/exp/p"}
    assert portable_data(data, folder) == {
        "a": "../../home/USER/pairs",
        "b": ["../../scratch/USER/x", "alice", 3, None],
        "c": "p",
    }
    assert portable_text("/home/alice/x.png: cannot be read, 3 images/s, 1/2", folder) == (
        "../../home/USER/x.png: cannot be read, 3 images/s, 1/2"
    )
    assert portable_argument("--set=data.train={root: /data/exp/a, layout: x}", folder) == (
        "--set=data.train={root: a, layout: x}"
    )


def test_a_relative_command_stays_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be typed again."""
    monkeypatch.setattr("sys.argv", ["benchmark", "run", "experiments/quickstart.yaml", "--rows", "heads.*"])
    assert command_line() == "python -m benchmark run experiments/quickstart.yaml --rows 'heads.*'"
