"""One row has one number of seeds that would settle it, wherever a page states it."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.grid import Grid
from reports.metrics import IMAGE_METRICS
from reports.pages import Definitions, Page
from reports.pages.glossary import glossary
from reports.pages.run_page import build
from reports.results.load import load

ROOT = Path(__file__).parents[2]
Run = Callable[..., Path]
Edit = Callable[..., dict[str, Any]]


def stated(page: Page, rows: list[str]) -> dict[str, set[str]]:
    """Row -> the different numbers of seeds in all that the page states for it: cards, headline, tables and claims."""
    found: dict[str, set[str]] = defaultdict(set)
    for row, number in _statements(page, rows):
        found[row].add(number.replace(",", ""))
    return found


def _statements(page: Page, rows: list[str]) -> Iterator[tuple[str, str]]:
    names = "|".join(sorted(map(re.escape, rows), key=len, reverse=True))
    for note in (note for card in page.cards for note in card.notes):
        yield from re.findall(rf"(?<!\S)({names}) \(([\d,]+)(?:, with [\d,]+ images)?\)", note)
    takes = re.search(r"takes (.*? in all)", page.headline[0])
    if takes and page.leader != "base":
        yield from ((page.leader, number) for number in _in_all(takes[1]))
    for grid in page.grids:
        yield from _in_table(grid)
        yield from _in_claims(grid, names)
    for sentence in (part for block in page.blocks if isinstance(block, tuple) for part in block):
        if match := re.fullmatch(r"Table .*?: (.* would resolve .*) \((.*)\)\.", sentence):
            yield from ((row, number) for row in re.split(r", | and ", match[2]) for number in _in_all(match[1]))


def _in_table(grid: Grid) -> Iterator[tuple[str, str]]:
    """Cells of the column and what stands in their hints."""
    places = {column.key: place for place, column in enumerate(grid.columns)}
    for line in grid.lines if "seeds_needed" in places else ():
        cell = line[places["seeds_needed"]]
        if cell.text[:1].isdigit():
            numbers = (cell.text.partition(", with")[0], *_in_all(cell.hint))
            yield from ((str(line[0].value), number) for number in numbers)


def _in_claims(grid: Grid, names: str) -> Iterator[tuple[str, str]]:
    """Claims with one end about a row against base; other claims ask for what another interval needs."""
    places = {column.key: place for place, column in enumerate(grid.columns)}
    for line in grid.lines if "resolves" in places else ():
        numbers, resolves = str(line[places["numbers"]].value), str(line[places["resolves"]].value)
        if (match := re.fullmatch(rf"({names}) against base: .*", numbers)) and "would resolve" in resolves:
            yield from ((match[1], number) for number in _in_all(resolves))


def _in_all(words: str) -> list[str]:
    """The seeds alone, or those beside more images where no number of seeds is enough."""
    return re.findall(r"more seeds? \(([\d,]+) in all\)", words) or re.findall(r"([\d,]+) seeds and", words)


def check_page(run: Path) -> dict[str, set[str]]:
    results = load(run)
    found = stated(build(results), [row.row for row in results.plan.rows])
    assert {row: numbers for row, numbers in found.items() if len(numbers) > 1} == {}
    return found


@pytest.mark.parametrize("margin", [0.05, 0.08, 0.11])
def test_every_part_of_a_page_states_the_same_seeds_for_a_row(make_run: Run, edit: Edit, margin: float) -> None:
    """Cards, headline, tables, next steps and claims, with rows that need few seeds and rows that need many."""
    images = [f"face_{number}" for number in range(24)]
    run = make_run(seeds=range(5), images=images, size=(26, 26), offsets={"heads.residual": 0.1, "identity": -6.0})
    claims = [{"id": "c", "text": "t", "better": "heads.residual", "worse": ["base"], "by": 0.2}]
    edit(run / "plan.json", equivalence_margin=margin, claims=claims)
    assert check_page(run)


def test_before_a_first_verdict_table_and_card_ask_for_the_same_seeds(make_run: Run) -> None:
    """Two seeds: three are needed, in both places."""
    assert set().union(*check_page(make_run(offsets={"identity": -6.0})).values()) == {"3"}


def test_the_published_study_of_seeds_states_one_number_for_each_row() -> None:
    """Fifteen rows, of which some need a few seeds more, and some more than anyone will train."""
    assert len(check_page(ROOT / "reports/published/seed_claims")) > 3


def test_harm_has_one_meaning_and_photographs_have_words_of_their_own(written: Path) -> None:
    """Glossary, the hint of the column and the docs say the same; what PSNR loses on photographs is not called harm."""
    (words,) = glossary().blocks
    assert isinstance(words, Definitions)
    meanings = {term: meaning for term, _, meaning in words.entries}
    assert meanings["harm"] == IMAGE_METRICS["harm"].meaning and "not harm" in meanings["worse than doing nothing"]
    page = (written / "index.html").read_text(encoding="utf-8")
    assert page.count(meanings["harm"]) > 1
    line = next(line for line in (ROOT / "docs/evidence.md").read_text().splitlines() if line.startswith("| `harm`"))
    assert line.split("|")[2].strip() == meanings["harm"][0].lower() + meanings["harm"][1:].rstrip(".")
