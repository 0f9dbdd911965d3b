"""Files of another form: readers give a result or one line, whatever stands in a record, a plan or a tuning file."""

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports import write
from reports.claims.evaluate_claims import claims_table, evaluate
from reports.errors import ReportError
from reports.grid import Grid
from reports.pages.headline import headline
from reports.pages.publish import publish
from reports.pages.table_formats import csv_text, latex_table, markdown_table
from reports.results.load import load
from reports.results.summary import summaries
from reports.statistics.ranks import order_of
from reports.tables import differences, gates, provenance, score_tables, test_images, training

Run = Callable[..., Path]

FORMS: dict[str, bytes] = {
    "empty": b"",
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "cut": b'{"schema": 2, "row": "ba',
    "NaN": b'{"schema": 2, "seed": NaN}',
    "infinite": b'{"schema": 2, "seed": 1e999}',
    "5,000 digits": b'{"schema": 2, "seed": ' + b"9" * 5000 + b"}",
    "deep list": b"[" * 100_000,
    "deep object": b'{"schema": 2, "config": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "lone surrogate": b'{"schema": 2, "row": "\\ud800"}',
    "byte-order mark": b'\xef\xbb\xbf{"schema": 2}',
    "UTF-16": '{"schema": 2}'.encode("utf-16"),
    "no UTF-8": b'{"schema": 2, "row": "\xff\xfe"}',
    "NUL": b"\x00" * 40,
}
"""What stands in place of a JSON file."""
CLAIMS = [
    {"id": "a", "text": "x", "better": "heads.a", "worse": ["base", "identity"], "metric": "psnr", "by": 0.1},
    {"id": "b", "text": "x", "equivalent": ["base", "heads.a"]},
    {"id": "c", "text": "x", "within": {"row": "base", "gate": "size"}},
    {"id": "d", "text": "x", "front": {"row": "base", "among": "heads", "cost": "macs"}},
    {"id": "e", "text": "x", "front": {"row": "base", "among": "heads", "cost": "latency_here"}},
]
TUNING = {
    "schema": 2, "metric": "psnr", "seed": 0,
    "rows": [{"row": "base", "chosen": "low", "candidates": [{"candidate": "low", "value": 30.0}]}],
}  # fmt: skip
VALUES = [
    None, True, -1, 0, 3.5, 2**62, 2**63, 10**30, -1e18, 1e-320, 1e308, "", "x" * 300, "\ud800", "a\nb\x00", "../..",
    "base", "identity", "nan", [], {}, [[]], [None], [1, 2, 3], {"a": 1}, {"": [1]},
]  # fmt: skip
"""What a mutation puts in place of a value."""
FILES = ("plan.json", "base/seed0/record.json", "heads.a/seed1/record.json", "identity/record.json", "tuning.json")


@pytest.fixture(scope="module")
def run(run_writer: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two rows with claims and tuning; tests that change a file put it back."""
    folder = tmp_path_factory.mktemp("hostile") / "quickstart"
    run_writer(folder, rows={"base": None, "heads.a": "heads"}, images=("a", "b", "c"), size=(26, 26))
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps(plan | {"claims": CLAIMS}))
    (folder / "tuning.json").write_text(json.dumps(TUNING))
    return folder


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in JSON data, but for the data itself."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, data: Any) -> Any:
    """JSON data with one to three values replaced, removed or repeated."""
    data = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        paths = list(places(data))
        if not paths:
            break
        *above, last = draw(st.sampled_from(paths))
        parent = data
        for key in above:
            parent = parent[key]
        match draw(st.sampled_from(("replace", "replace", "replace", "remove", "repeat"))):
            case "replace":
                parent[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
            case "remove":
                del parent[last]
            case _ if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[last]))
            case _:
                parent[draw(st.sampled_from(("", "\n", "psnr", "seed")))] = parent[last]
    return data


def tables_of(folder: Path) -> list[Grid | None]:
    """Return all tables of a run that can be made without drawing."""
    results = load(folder)
    by_name = summaries(results)
    rows, primary = list(by_name.values()), results.metric(results.plan.primary)
    costs, learned = training.costs_of(rows), training.last_stages(rows, primary, results.plan.equivalence_margin)
    headline(by_name, results, primary, order_of(results, by_name, primary))
    training.sharing_summary(costs.values())
    return [
        *(table.grid for table in differences.tables_against_base(by_name, results, primary)),
        *map(training.stage_table, rows),
        score_tables.ranking(rows, primary),
        score_tables.all_metrics(rows, primary),
        test_images.degradation_table(results),
        test_images.severity_table(rows, results, primary),
        training.cost_table(costs),
        training.learning_table(learned),
        training.all_stages_table(rows),
        training.tuning_table(results),
        gates.gate_table(gates.gates_of(rows)),
        provenance.problem_table(results),
        provenance.provenance_table([record.provenance for record in results.records], results.plan.seeds),
        claims_table(evaluate(results, by_name)),
    ]


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_mutated_file_gives_tables_or_one_line(run: Path, name: str, data: st.DataObject) -> None:
    """Five mutants of each JSON file: all tables are made and written, or a ReportError says why in one line."""
    check_tables_of_a_mutant(run / name, run, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_forty_mutants_of_a_file_give_tables_or_one_line(run: Path, name: str, data: st.DataObject) -> None:
    """The same with more of them."""
    check_tables_of_a_mutant(run / name, run, data)


def check_tables_of_a_mutant(file: Path, run: Path, data: st.DataObject) -> None:
    original = file.read_text()
    file.write_text(json.dumps(data.draw(mutated(json.loads(original)))))
    try:
        for grid in tables_of(run):
            if grid:
                assert csv_text(grid) and markdown_table(grid) and latex_table(grid)
    except ReportError as error:
        assert "\n" not in str(error)
    finally:
        file.write_text(original)


@pytest.mark.parametrize("form", FORMS)
def test_another_form_is_named_in_one_line(run: Path, form: str) -> None:
    """A record costs its row, a tuning file its table, a plan the report: each time in one line with the file."""
    for name in ("base/seed0/record.json", "tuning.json"):
        original = (run / name).read_bytes()
        (run / name).write_bytes(FORMS[form])
        damage = load(run).damage
        (run / name).write_bytes(original)
        assert len(damage) == 1 and name.split("/")[-1] in damage[0] and "\n" not in damage[0]
    plan = run / "plan.json"
    original = plan.read_bytes()
    plan.write_bytes(FORMS[form])
    try:
        with pytest.raises(ReportError, match=r"plan\.json: ") as error:
            load(run)
        assert "\n" not in str(error.value)
    finally:
        plan.write_bytes(original)


@pytest.mark.parametrize("form", FORMS)
def test_another_form_in_a_study_is_named_in_one_line(study: Path, form: str) -> None:
    """A line of records that is none, in a study without a manifest, costs its record alone."""
    file = study / "records.jsonl"
    original = file.read_bytes()
    file.write_bytes(original + FORMS[form].replace(b"\n", b" ") + b"\n")
    results = load(study)
    file.write_bytes(original)
    assert len(results.records) == 5 and len(results.notes) == 1


@pytest.fixture(scope="module")
def study(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published study without a manifest."""
    write(run)
    study = publish(run, tmp_path_factory.mktemp("studies") / "study")
    (study / "SHA256SUMS").unlink()
    return study


@pytest.mark.parametrize("place", [0, 3, 12, 40, -9, -1])
def test_a_damaged_table_of_a_study_is_a_note(study: Path, place: int) -> None:
    """A changed byte in the header, the compressed data or the check sum of scores costs the table, in one line."""
    file = study / "scores/001.csv.gz"
    original = file.read_bytes()
    changed = bytearray(original)
    changed[place] ^= 0xFF
    file.write_bytes(changed)
    notes = load(study).notes
    file.write_bytes(original)
    assert place == 3 or any(note.startswith("scores/001.csv.gz: not readable") for note in notes)
    assert all("\n" not in note for note in notes)


def test_a_pipe_in_place_of_a_file_does_not_hang(make_run: Run, command: Callable[..., tuple[int, str, str]]) -> None:
    """A FIFO is no file: its record is damaged, and a plan that is one is refused."""
    run = make_run(rows={"base": None}, size=(26, 26))
    for name in ("base/seed0/record.json", "base/seed1/scores.csv", "tuning.json"):
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
    assert [line.removeprefix(f"{run}/").split()[0] for line in load(run).damage[:1]] == ["base/seed0/record.json:"]
    code, _, err = command("report", run)
    assert code == 2 and "Traceback" not in err
