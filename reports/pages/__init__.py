"""A page of a report: a headline and sections, each a heading and blocks. `files` writes it as HTML and Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from reports.figures.drawing import RenderedFigure
from reports.figures.examples import Example, LinkedExample
from reports.figures.pareto_plot import ParetoPlot
from reports.figures.strip import Strip
from reports.grid import Grid


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Code:
    """Text to copy; `language` is yaml, sh or bibtex."""

    text: str
    language: str


@dataclass(frozen=True)
class Definitions:
    """Terms with their unit and meaning."""

    entries: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class LinkedPlot:
    """The plot of quality against cost: in HTML markers link to rows of the ranking, in Markdown it is a figure.

    Without a measured latency there is nothing to draw; `note` says so, and the script draws the other costs.
    """

    plot: ParetoPlot | None
    figure: RenderedFigure | None
    note: str = ""


@dataclass(frozen=True)
class ExploredTable:
    """A table that the reader can filter, sort and choose the columns of; its rows are those of `Page.data`."""

    grid: Grid
    tables: tuple[str, ...]
    """Tables of the experiment, to filter by."""


@dataclass(frozen=True)
class Comparer:
    """The place where the reader compares versions of any test image; the pictures are those of `Page.data`."""


@dataclass(frozen=True)
class CsvOnly:
    """A table that is only written as CSV."""

    grid: Grid


@dataclass(frozen=True)
class Details:
    """Blocks that the reader can unfold."""

    summary: str
    blocks: "tuple[Block, ...]"
    note: str = ""
    """A few words behind the summary."""
    is_open: bool = False
    anchor: str = ""
    """Its id on the page, for links."""


Block: TypeAlias = (
    str
    | tuple[str, ...]
    | Heading
    | Grid
    | RenderedFigure
    | LinkedPlot
    | Example
    | Strip
    | LinkedExample
    | Details
    | Code
    | Definitions
    | ExploredTable
    | Comparer
    | CsvOnly
)
"""A string is a paragraph, a tuple of strings a list."""


@dataclass(frozen=True)
class Card:
    """One answer on the first screen, about one row or about the next run."""

    question: str
    row: str
    """Empty where no row answers it."""
    certainty: str
    """How sure the answer is, in a few words; for the next run: what kind of run it is."""
    facts: tuple[tuple[str, str], ...]
    """Term and value."""
    notes: tuple[str, ...]
    commands: tuple[str, ...]
    is_proven: bool = False


@dataclass(frozen=True)
class Finding:
    """What the reader must know before any row, with its likely causes and what to change, a line each."""

    statement: str
    causes: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """Blocks under one heading; `anchor` names the section in links. A section without blocks is not shown."""

    anchor: str
    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A report."""

    title: str
    facts: tuple[str, ...]
    """A few words each, below the title."""
    headline: tuple[str, ...]
    """The answer in a few sentences, then what remains open."""
    sections: tuple[Section, ...]
    cards: tuple[Card, ...] = ()
    """The answers of the first screen."""
    finding: Finding | None = None
    """That no network beats a baseline."""
    data: Mapping[str, Any] | None = None
    """What the scripts of the page use, as plain data; None where there is nothing to look around in."""
    leader: str = ""
    """Name of the leading row, with which the headline starts."""
    status: str = ""
    """What is still missing from an unfinished run."""
    warnings: tuple[str, ...] = ()
    """Where rows are worse than doing nothing, a sentence each."""
    damage: tuple[str, ...] = ()
    """A line for each damaged file."""
    reload_seconds: int = 0
    """How often the browser reloads the page while a run goes on; 0 is never."""
    footer: str = (
        "Every number on this page is also in the folder tables, unrounded. The figures are in the folder figures."
    )

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, those inside `Details` too."""
        return tuple(block for section in self.sections for block in _flattened(section.blocks))

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Every table that has a CSV file."""
        grids = (block.grid if isinstance(block, CsvOnly | ExploredTable) else block for block in self.blocks)
        return tuple(grid for grid in grids if isinstance(grid, Grid) and grid.name)

    @property
    def figures(self) -> tuple[RenderedFigure, ...]:
        """Every figure."""
        figures = (block.figure if isinstance(block, LinkedPlot) else block for block in self.blocks)
        return tuple(figure for figure in figures if isinstance(figure, RenderedFigure))


def section(anchor: str, heading: str, *blocks: Block | None) -> Section:
    """Return a section of the blocks that are not None or empty."""
    return Section(anchor, heading, present(*blocks))


def present(*blocks: Block | None) -> tuple[Block, ...]:
    """Return the blocks that are not None or empty."""
    return tuple(block for block in blocks if block)


def _flattened(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from _flattened(block.blocks)
