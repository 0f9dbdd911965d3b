"""The page of a blind test, for the people who answer, and the section that a report has about their answers."""

import hashlib
from pathlib import Path

from reports import text
from reports.blind.formats import FOLDER, KEY, PAGE, RANKING, RankedPreference, RankingFile
from reports.blind.task import Task
from reports.errors import FileFormatError, ReportError
from reports.file_access import write_bytes
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.pages import Block, CsvOnly, Section, present, section
from reports.pages.files import json_block, rendered
from reports.schema import FileModel, read
from reports.statistics.preference_ranking import FEWEST_PEOPLE

_STRONG_HABIT = 0.15
"""Distance of the share of left pictures from one half that is worth a sentence."""


def write_task(task: Task, run: Path) -> Path:
    """Write page and key of a blind test into a folder of their own below the run, and return the path of the page.

    Raises:
        ReportError: The folder cannot be written to.
    """
    folder = run / FOLDER / task.key.test
    page = rendered(task, "blind_test.html.j2", {"json_block": json_block}, autoescape=True)
    _write(folder / KEY, _as_json(task.key))
    _write(folder / PAGE, page.encode())
    return folder / PAGE


def write_ranking(ranking: RankingFile, run: Path) -> Path:
    """Write the ranking where the report of the run finds it, and return its path. Raises `ReportError`."""
    path = run / FOLDER / RANKING
    _write(path, _as_json(ranking.model_copy(update={"digest": _digest(ranking)})))
    return path


def read_ranking(folder: Path) -> RankingFile | None:
    """Return the ranking of the blind tests of a run or a published study; None where there is none.

    Raises:
        FileFormatError: The file is damaged.
    """
    path = folder / FOLDER / RANKING
    ranking = read(RankingFile, path) if path.is_file() else None
    if ranking is None:
        return None
    if ranking.digest and ranking.digest != _digest(ranking):
        raise FileFormatError("is damaged: its SHA-256 is not the one noted in it")
    return ranking.model_copy(update={"digest": ""})


def ranking_damage(folder: Path) -> tuple[str, ...]:
    """Return a line if the ranking of a run or a published study is damaged."""
    try:
        read_ranking(folder)
    except FileFormatError as error:
        file = text.printable(str(folder / FOLDER / RANKING))
        return (f"{file}: {text.printable(str(error))}; make it again with `blind RUN --answers ...`",)
    return ()


def blind_section(folder: Path) -> Section:
    """Return the section about the blind test of a run or a published study; empty where there was none."""
    try:
        ranking = read_ranking(folder)
    except FileFormatError as error:
        return section("blind", "Blind test", f"{FOLDER}/{RANKING}: {text.printable(str(error))}")
    return section("blind", "Blind test", *(blocks(ranking) if ranking else ()))


def blocks(ranking: RankingFile) -> tuple[Block, ...]:
    """Return what the answers show: the ranking, how far people agree, and what limits it."""
    return present(
        simulated(ranking),
        reading(ranking),
        preference_table(ranking),
        tuple(agreement_sentences(ranking)),
        CsvOnly(_answer_table(ranking)) if ranking.answers else None,
    )


def simulated(ranking: RankingFile) -> str:
    """Return that answers come from a program; empty where all come from people."""
    if not ranking.simulated:
        return ""
    who = "All" if ranking.simulated == ranking.people else f"{ranking.simulated} of {ranking.people}"
    return f"Simulated: {who} of these people are programs. This shows how the test works, not what people prefer."


def reading(ranking: RankingFile) -> str:
    """Return one sentence about who leads, and how sure that is."""
    best = ranking.rows[0]
    name, people = text.printable(best.row), text.count(ranking.people, "person", "people")
    if best.places is None:
        reason = f"{people}, needs at least {FEWEST_PEOPLE}" if ranking.people < FEWEST_PEOPLE else "too few answers"
        return f"Reading: {name} was preferred most; not proven ({reason})."
    if best.places[1] == 1:
        return f"Reading: {name} is preferred to every other row, by the answers of {people}."
    may_be_first = sum(row.places is not None and row.places[0] == 1 for row in ranking.rows)
    return f"Reading: {name} was preferred most; {may_be_first} rows may be first, by the answers of {people}."


def preference_table(ranking: RankingFile) -> Grid:
    """Return the rows, the most preferred first."""
    note = (
        "Model: Bradley-Terry with ties after Davidson. Intervals and places: bootstrap over people and images; all "
        "places hold together with 95 % probability, each interval alone."
    )
    left_out = [f"{ranking.dropped:.0%} of the bootstrap samples did not connect all rows and were left out."]
    return Grid(
        name="blind_test",
        caption=f"Blind test: {text.count(ranking.choices, 'answer')} of "
        f"{text.count(ranking.people, 'person', 'people')} about {text.count(ranking.images, 'image')}.",
        columns=(
            Column("place", "place", numeric=False, hint="Places that the row may have."),
            ROW_COLUMN,
            Column("preferred", "preferred", "%", hint="How often it is preferred to another row; a tie counts half."),
            Column("preferred_interval", "95 % interval", "%", numeric=False),
            Column("preferred_low", "low", "%", csv_only=True),
            Column("preferred_high", "high", "%", csv_only=True),
            Column("strength", "strength", hint="Logarithm of the strength in the model; the rows have the mean 0."),
            Column("seed", "seed", hint="The seed whose images were shown."),
        ),
        lines=tuple(map(_line, ranking.rows)),
        notes=(note, *(left_out if ranking.dropped else ()), *map(text.printable, ranking.notes)),
    )


def _answer_table(ranking: RankingFile) -> Grid:
    """Return every answer, for those who want to rank the rows in their own way."""
    names = ("person", "image", "left", "right", "choice", "seconds")
    return Grid(
        name="blind_answers",
        caption="Answers of the blind test.",
        columns=tuple(Column(name, name, numeric=name in ("person", "seconds")) for name in names),
        lines=tuple(
            (
                Cell(answer.person, str(answer.person)),
                *map(plain, (answer.image, answer.left, answer.right, answer.choice)),
                Cell(answer.seconds, text.number(answer.seconds, 1)),
            )
            for answer in ranking.answers
        ),
    )


def agreement_sentences(ranking: RankingFile) -> list[str]:
    """Return how far people agree, with each other and with their own earlier answers."""
    sentences: list[str] = []
    if ranking.equal is None:
        sentences.append("No pair was answered by two people, so nothing is known about their agreement.")
    else:
        chance = "" if ranking.alpha is None else (
            f" Krippendorff's α is {text.number(ranking.alpha, 2)}; 1 is agreement, 0 is chance."
        )  # fmt: skip
        sentences.append(
            f"Two people gave the same answer in {ranking.equal:.0%} of cases "
            f"({text.count(ranking.shared, 'pair')} with several people).{chance}"
        )
    if ranking.consistent is not None:
        sentences.append(
            f"People repeated their own answer in {ranking.consistent:.0%} of {ranking.repeated} pairs that they saw "
            "again with the sides exchanged."
        )
    sentences.append(f"{ranking.ties:.0%} of the answers chose neither picture.")
    if ranking.left is not None and abs(ranking.left - 0.5) > _STRONG_HABIT:
        sentences.append(
            f"The left picture was chosen in {ranking.left:.0%} of the decided answers: some chose by side."
        )
    return sentences


def _line(row: RankedPreference) -> Line:
    low, high = row.interval or (None, None)
    shown = f"{low:.0%} to {high:.0%}".replace("%", "") if low is not None and high is not None else text.ABSENT
    places = text.ABSENT
    if row.places:
        first, last = row.places
        places = str(first) if first == last else f"{first}–{last}"
    return (
        Cell(places if row.places else None, places),
        plain(row.row),
        Cell(100 * row.preferred, text.number(100 * row.preferred, 0)),
        Cell(None if low is None else shown, shown),
        Cell(None if low is None else 100 * low, ""),
        Cell(None if high is None else 100 * high, ""),
        Cell(row.strength, text.signed(row.strength, 2)),
        Cell(row.seed, text.ABSENT if row.seed is None else str(row.seed)),
    )


def _digest(ranking: RankingFile) -> str:
    return hashlib.sha256(_as_json(ranking.model_copy(update={"digest": ""}))).hexdigest()


def _as_json(content: FileModel) -> bytes:
    return f"{content.model_dump_json(by_alias=True, indent=1)}\n".encode()


def _write(path: Path, data: bytes) -> None:
    try:
        write_bytes(path, data)
    except OSError as error:
        raise ReportError(f"{path}: cannot be written ({error.strerror})") from error
