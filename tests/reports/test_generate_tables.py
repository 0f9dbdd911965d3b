"""Tables of documents are made from published records: by kind, the same every time, and stale ones are found."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from reports.errors import ReportError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    sys.modules.pop("generate_tables", None)
    import generate_tables  # pyright: ignore[reportMissingImports]

    return generate_tables


def test_rows_are_ranked_and_baselines_stand_below(tables: ModuleType) -> None:
    """One line a row with the metrics asked for; the best trained row first."""
    heads, rules, *lines = tables.table("quickstart rows psnr texture").splitlines()
    assert heads == "| row | PSNR, dB | texture | file, MB | latency, ms | training a seed, s |"
    assert rules == "| --- | --: | --: | --: | --: | --: |"
    quality = [float(line.split("|")[2]) for line in lines[:-3]]
    assert len(quality) > 1 and quality == sorted(quality, reverse=True)
    assert [line.split("`")[1] for line in lines[-3:]] == ["affine", "identity", "closing"]


def test_differences_have_interval_and_verdict(tables: ModuleType) -> None:
    """Each row minus base; where there are too few seeds for a verdict a dash stands for it."""
    heads, _, *lines = tables.table("protocol differences").splitlines()
    assert heads.startswith("| row minus `base` | PSNR, dB [95 %] | verdict | PSNR spots, dB | harm, levels |")
    stage_1 = next(line for line in lines if "stages.stage_1`" in line)
    assert "| loss |" in stage_1 and "[" in stage_1
    assert all("| – |" in line for line in tables.table("quickstart differences").splitlines()[2:])


def test_claims_have_their_result(tables: ModuleType) -> None:
    """One line a claim; a pipe in its words does not end the cell."""
    heads, _, *lines = tables.table("seed_claims claims").splitlines()
    assert heads == "| claim | result | numbers |"
    assert len(lines) == 13 and all(line.replace("\\|", "").count("|") == 4 for line in lines)
    assert any("| ✓ holds |" in line for line in lines)


def test_a_document_is_filled_once_and_for_all(tables: ModuleType) -> None:
    """Only what stands between the markers changes; filling again changes nothing."""
    document = "before\n<!-- table: quickstart -->\nold\n<!-- end -->\nafter\n"
    filled = tables.filled(document)
    assert filled.startswith("before\n<!-- table: quickstart -->\n| row |") and filled.endswith("<!-- end -->\nafter\n")
    assert "old" not in filled and tables.filled(filled) == filled


def test_a_stale_table_is_found(tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --check nothing is written and the status is 1; without, the table is written and the next check passes."""
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    file = tmp_path / "README.md"
    file.write_text("<!-- table: quickstart -->\n<!-- end -->\n")
    assert tables.main(["--check"]) == 1 and "| row |" not in file.read_text()
    assert tables.main([]) == 0 and "| row |" in file.read_text()
    assert tables.main(["--check"]) == 0


def test_an_unknown_kind_or_study_is_an_error(tables: ModuleType) -> None:
    """The message names the marker or the folder."""
    with pytest.raises(ReportError, match="no kind 'row'; known: rows, differences, claims"):
        tables.table("quickstart row")
    with pytest.raises(ReportError, match=r"no plan\.json here"):
        tables.table("no_such_study")
