"""`job`: jobs that any process carries out one by one make what `run` makes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmark.cli import cli
from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.errors import RecordError
from benchmark.files import read_json
from benchmark.runner.context import with_cached_sources
from benchmark.runner.run import run_rows
from reports.errors import ReportError

Edited = Callable[[str, str], Path]
ROOT = Path(__file__).parents[2]

# In these a record may differ: in time, in the words of the command, in what a machine measured, in whether somebody
# edits the checkout meanwhile.
VARIABLE = {"command", "started", "seconds", "threads", "finished", "images_per_second", "peak_memory_bytes", "dirty"}

LOOP = """\
list() { python -m benchmark job runs/small --list; }
for id in $(list | awk '$3 == "network" {print $1}'); do python -m benchmark job runs/small $id; done
while ready=$(list | awk '$2 == "ready" {print $1}') && [ -n "$ready" ]; do
  echo "$ready" | xargs -P 2 -n 1 python -m benchmark job runs/small || exit 1
done
"""


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], standalone_mode=False, catch_exceptions=True)


def planned(file: Path, *options: str) -> Path:
    """Write the plan of an experiment; return the folder of its run."""
    output = file.parent / "runs/small"
    result = call("plan", file, "--write", "--device", "cpu", "--output", output, *options)
    assert result.exception is None, result.output
    return output


def listed(output: Path) -> dict[str, tuple[str, str, str]]:
    """Return id, state and what is said about it, by the name of a job."""
    lines = [line.split(maxsplit=4) for line in call("job", output, "--list").output.splitlines()]
    return {name: (id, state, "".join(detail)) for id, state, _, name, *detail in lines}


def carry_out_all(output: Path) -> None:
    for id, *_ in listed(output).values():
        result = call("job", output, id)
        assert (result.return_value, result.exception) == (0, None), result.output


def made_by_run(file: Path, *rows: str) -> Path:
    """Run rows and the baselines in another folder, with a store of its own; return the folder of that run."""
    output = file.parent / "others/small"
    ready = prepare(Selection(file, output, rows, (), (), "cpu", (), replace=False))
    context = with_cached_sources(ready.plan.experiment.data, ready.context, lambda event: None)
    run_rows((*ready.plan.baselines, *ready.plan.rows), context, ("cpu",), lambda event: None)
    return output


def essence(data: Any) -> Any:
    """Return what two runs of the same plan must have in common of a record."""
    if isinstance(data, dict):
        return {key: essence(value) for key, value in data.items() if key not in VARIABLE}
    return [essence(item) for item in data] if isinstance(data, list) else data


def assert_equal_runs(first: Path, second: Path) -> None:
    """Weights, images and scores have the same bytes, and records say the same."""
    names = sorted(path.relative_to(first) for path in first.glob("*/**/*") if not path.parts[-1].startswith("."))
    made = [name for name in names if name.parts[0] != "report" and not name.parts[0].startswith(".")]
    assert sum(name.name == "record.json" for name in made) >= 4
    for name in (name for name in made if (first / name).is_file()):
        if name.name == "record.json":
            records = [essence(read_json(run / name)) for run in (first, second)]
            for record in records:  # the digest of the curve has speeds in it
                record["files"].pop("curve.csv", None)
            assert records[0] == records[1]
        elif name.name != "curve.csv":  # which has speeds
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_all_jobs_one_by_one_make_what_run_makes(experiment_file: Path) -> None:
    """Each in the order of the list: two rows that share a stage, and the baselines."""
    output = planned(experiment_file, "--rows", "base", "--rows", "stages.stage_1")
    carry_out_all(output)
    assert {state for _, state, _ in listed(output).values()} == {"done"}
    (line,) = call("job", output, "base/network", "--list").output.splitlines()
    assert line.split()[1:] == ["done", "network", "base/network"]
    assert [stage["reused"] for stage in read_json(output / "stages.stage_1/seed0/record.json")["stages"]] == [True]
    assert_equal_runs(made_by_run(experiment_file, "base", "stages.stage_1"), output)


@pytest.mark.slow
def test_a_shell_loop_with_two_processes_makes_what_run_makes(experiment_file: Path) -> None:
    """The loop of docs/training.md, in fresh processes, two at a time."""
    assert LOOP in re.sub(r"^    ?", "", (ROOT / "docs/training.md").read_text(), flags=re.MULTILINE)
    output = planned(experiment_file, "--rows", "stages.stage_1")
    loop, environment = LOOP.replace("python", sys.executable), {**os.environ, "PYTHONPATH": str(ROOT)}
    command = ["bash", "-c", loop]
    subprocess.run(command, cwd=experiment_file.parent, env=environment, capture_output=True, check=True)
    assert {state for _, state, _ in listed(output).values()} == {"done"}
    assert_equal_runs(made_by_run(experiment_file, "stages.stage_1"), output)


@pytest.mark.slow
def test_a_stopped_job_goes_on_where_it_was(experiment_file: Path) -> None:
    """While it runs the list says who runs it; SIGTERM ends it with code 85, SIGKILL just ends it; no step is lost."""
    output = planned(experiment_file, "--set", "protocol.coarse.steps=400")
    call("job", output, "base/network")
    command = [sys.executable, "-m", "benchmark", "job", str(output), "base/seed0/coarse"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for number, code in ((signal.SIGTERM, 85), (signal.SIGKILL, -9)):
        with subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            assert process.stderr
            assert any("coarse step" in line for line in process.stderr)
            assert listed(output)["base/seed0/coarse"][1] == "running"
            process.send_signal(number)
            assert process.wait() == code
        assert len(list((output.parent / ".stages").glob("*/state.pt"))) == 1
    assert listed(output)["base/seed0/coarse"][1] == "ready"
    result = call("job", output, "base/seed0/coarse")
    assert result.return_value == 0 and "400 steps" in result.output


def test_a_job_that_waits_names_what_it_waits_for(experiment_file: Path) -> None:
    """In one line; nothing is made, and the list says the same."""
    output = planned(experiment_file)
    result = call("job", output, "base/seed0")
    assert isinstance(result.exception, RecordError)
    assert re.fullmatch(
        r"row base/seed0 \(\w{8}\): waits for network base/network \(\w{8}\), stage base/seed0/coarse \(\w{8}\), "
        r"stage base/seed0/psnr \(\w{8}\); carry that out first",
        str(result.exception),
    )
    jobs = listed(output)
    assert {state for _, state, _ in jobs.values()} == {"ready", "waiting"}
    assert jobs["base/seed0/psnr"][2] == f"for stage base/seed0/coarse ({jobs['base/seed0/coarse'][0][:8]})"
    assert not (output / "base").exists()


def test_a_finished_job_says_so(experiment_file: Path) -> None:
    """And exits with 0, as often as it is called; an id may be cut short, and a name does as well."""
    output = planned(experiment_file)
    id = listed(output)["identity"][0]
    for text, outcome in ((id, "done"), (id, "finished before"), (id[:8], "finished before"), ("identity",) * 2):
        result = call("job", output, text)
        assert result.return_value == 0 and outcome in result.output
    assert "closing" in str(call("job", output, "closng").exception)
    assert "of an id give 6 characters or more" in str(call("job", output, id[:5]).exception)


def test_a_failed_job_fails_its_rows_and_is_tried_again(edited: Edited) -> None:
    """Exit code 1; the records name the stage; jobs that need it count as failed; the next call is a new attempt."""
    output = planned(edited("lr: 1e-3", "lr: 1e30"))
    call("job", output, "base/network")
    for _ in range(2):
        result = call("job", output, "base/seed0/coarse")
        assert result.return_value == 1 and "the gradient norm is inf" in result.output
    jobs = listed(output)
    assert [jobs[name][1] for name in ("base/seed0/coarse", "base/seed0", "stages.stage_1/seed0")] == ["failed"] * 3
    assert "needs stage base/seed0/coarse" in jobs["base/seed0"][2]
    record = read_json(output / "stages.stage_1/seed0/record.json")
    assert record["error"]["message"].startswith("shares a stage that failed in base/seed0: ")


def test_a_rejecting_gate_ends_rows_without_training(edited: Edited) -> None:
    """The job of the network writes their records, and their stages have nothing to do."""
    output = planned(edited("limit_bytes: 10_000_000", "limit_bytes: 10, reject: true"))
    carry_out_all(output)
    assert read_json(output / "base/seed0/record.json")["status"] == "rejected"
    assert not list((output.parent / ".stages").glob("*/weights.safetensors"))


def test_a_moved_run_can_be_carried_out_elsewhere(experiment_file: Path, pairs: Path, tmp_path: Path) -> None:
    """plan.json names no absolute path: a copy of folder and pairs is enough. Other pairs are noticed."""
    shutil.copytree(pairs, tmp_path / "here/pairs")
    file = tmp_path / "here/small.yaml"
    file.write_text(experiment_file.read_text().replace(str(pairs), "pairs"))
    planned(file)
    (tmp_path / "here").rename(tmp_path / "there")
    output = tmp_path / "there/runs/small"
    assert str(tmp_path) not in (output / "plan.json").read_text()
    assert call("job", output, "identity").return_value == 0
    next((tmp_path / "there/pairs/test/target").iterdir()).unlink()
    next((tmp_path / "there/pairs/test/degraded").iterdir()).unlink()
    assert "changed since the plan was written: data.test; bring it back" in str(
        call("job", output, "closing").exception
    )


def test_a_job_names_the_component_whose_code_changed(experiment_file: Path, own_metric: Path) -> None:
    """And no other one; the plan is for the code that it was written with."""
    output = planned(experiment_file, "--plugin", str(own_metric))
    own_metric.write_text(own_metric.read_text().replace("max()", "min()"))
    for job in ("closing", "base/network"):
        error = call("job", output, job, "--plugin", own_metric).exception
        assert "changed since the plan was written: metric largest_error; bring it back" in str(error)


def test_a_plan_of_another_torch_is_one_line(experiment_file: Path) -> None:
    """It says what the plan is for and what is here."""
    output = planned(experiment_file)
    plan = json.loads(without_digests(output / "plan.json"))
    (output / "plan.json").write_text(json.dumps({**plan, "environment": {**plan["environment"], "torch": "1.0"}}))
    assert "is for torch 1.0, here 2." in str(call("job", output, "identity").exception)


def test_a_folder_without_recipes_says_how_to_write_them(experiment_file: Path, tmp_path: Path) -> None:
    """No plan at all, or one of an earlier version."""
    assert "plan FILE --write" in str(call("job", tmp_path / "nowhere", "--list").exception)
    output = planned(experiment_file)
    plan = json.loads(without_digests(output / "plan.json"))
    rows = [{key: value for key, value in row.items() if key != "recipe"} for row in plan["rows"]]
    (output / "plan.json").write_text(json.dumps({**plan, "rows": rows}))
    assert "has no recipes" in str(call("job", output, "--list").exception)


def set_at(*path: str | int) -> Callable[[Any, Any], None]:
    """Return what changes a value in plain data."""

    def change(data: Any, value: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


def without_digests(file: Path) -> str:
    """Return a plan as earlier versions wrote it, which may be edited."""
    return json.dumps({key: value for key, value in read_json(file).items() if key != "digests"})


BASE = ("rows", 0)
"""In a plan."""
DAMAGES: dict[str, tuple[Callable[[Any, Any], None], Any, str]] = {
    "a seed without hash": (set_at(*BASE, "seeds"), [5], "row 'base' has a seed without hash or key"),
    "a key that leads out": (set_at(*BASE, "stages", 0, "keys", "0"), "../../../evil", "a hash or key of another form"),
    "a network that leads out": (set_at(*BASE, "network"), "../evil", "has a hash or key of another form"),
    "a row that leads out": (set_at(*BASE, "row"), "../evil", "no row is called '../evil'"),
    "a model that is a number": (set_at(*BASE, "recipe", "model"), 1, "the recipe of row 'base' has another form"),
    "a compression that is a text": (set_at(*BASE, "recipe", "model", "compress"), "x", "has another form"),
    "a teacher that is a number": (set_at(*BASE, "recipe", "model", "compress"), {"distil": 1}, "has another form"),
    "a teacher that is nobody": (
        set_at(*BASE, "recipe", "model", "compress"), {"distil": {"row": "nobody"}}, "learns from a row that has not",
    ),
    "a stage without recipe": (set_at(*BASE, "stages", 0, "name"), "other", "has another form"),
    "no protocol": (set_at(*BASE, "recipe", "protocol"), None, "has another form"),
    "no rows": (set_at("rows"), [], "has no rows to train"),
}  # fmt: skip


def test_a_damaged_plan_is_one_line(experiment_file: Path) -> None:
    """Nothing is written outside the run and the store, whatever it says."""
    output = planned(experiment_file)
    plan = without_digests(output / "plan.json")
    for name, (change, value, message) in DAMAGES.items():
        data = json.loads(plan)
        change(data, value)
        (output / "plan.json").write_text(json.dumps(data))
        error = call("job", output, "--list").exception
        assert isinstance(error, RecordError) and message in str(error), name
        assert "python -m benchmark plan FILE --write" in str(error) and "\n" not in str(error), name


def test_a_stage_is_never_stored_under_the_key_of_another(experiment_file: Path) -> None:
    """A key, a network or a setting that was changed in the plan is noticed before anything is trained.

    Even in a plan without digests, of an earlier version.
    """
    output = planned(experiment_file)
    plan = without_digests(output / "plan.json")
    changes: dict[str, tuple[Callable[[Any, Any], None], Any, str]] = {
        "key": (set_at(*BASE, "stages", 0, "keys", "0"), "0" * 32, "base/seed0 has other stages than its recipe"),
        "network": (set_at(*BASE, "network"), "0" * 32, "base/seed0 has other stages than its recipe"),
        "learning rate": (set_at(*BASE, "recipe", "protocol", "coarse", "lr"), 0.5, "one of them was edited"),
    }
    for name, (change, value, message) in changes.items():
        data = json.loads(plan)
        change(data, value)
        (output / "plan.json").write_text(json.dumps(data))
        assert message in str(call("job", output, "base/network").exception), name
    assert not list(output.parent.glob(".stages/*/weights.safetensors"))


EDITS: dict[str, tuple[Callable[[Any, Any], None], Any]] = {
    "row base: recipe.protocol.coarse": (set_at(*BASE, "recipe", "protocol", "coarse", "lr"), 0.5),
    "row base: recipe.model.head": (set_at(*BASE, "recipe", "model", "head", "name"), "residual"),
    "row base: stages": (set_at(*BASE, "stages", 0, "keys", "0"), "0" * 32),
    "row base: network": (set_at(*BASE, "network"), "0" * 32),
    "row base: stopped_at": (set_at(*BASE, "stopped_at"), 5),
    "seeds": (set_at("seeds"), [0, 1]),
    "chosen": (set_at("chosen"), []),
    "equivalence_margin": (set_at("equivalence_margin"), 9.0),
    "rows": (set_at(*BASE, "row"), "other"),
}
"""What of a plan is edited."""


def test_an_edited_plan_is_refused_by_the_part_that_was_edited(experiment_file: Path) -> None:
    """By `job` and by `report`; `plan --write` makes it anew, and a plan without digests is read as before."""
    output = planned(experiment_file)
    plan = (output / "plan.json").read_text()
    for name, (change, value) in EDITS.items():
        data = json.loads(plan)
        change(data, value)
        (output / "plan.json").write_text(json.dumps(data))
        for error in (call("job", output, "base/network").exception, call("report", output).exception):
            assert isinstance(error, RecordError | ReportError), name
            assert f"plan.json: was changed after it was written, in '{name}'" in str(error), str(error)
            assert "the SHA-256 does not fit" in str(error) and "\n" not in str(error)
    assert not list(output.parent.glob(".stages/*/weights.safetensors"))
    planned(experiment_file)
    before = listed(output)
    (output / "plan.json").write_text(without_digests(output / "plan.json"))
    assert listed(output) == before
