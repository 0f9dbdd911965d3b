"""A page of sections, for what has no rows and seeds: a search, a measurement.

It is made of the same parts as the report of a run: grids, drawings, notes.
"""

from dataclasses import dataclass

from reports.figures.figure_output import Drawing
from reports.grid import Grid


@dataclass(frozen=True)
class Section:
    """Under one heading: paragraphs, then tables, then figures, then what is to be copied."""

    anchor: str
    """Names the section in links: letters and hyphens."""
    heading: str
    paragraphs: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    notes: tuple[str, ...] = ()
    code: str = ""
    language: str = ""
    """Of the code: yaml, sh or bibtex."""


@dataclass(frozen=True)
class PlainPage:
    """A report; `lead` is its answer in one or two sentences."""

    title: str
    facts: tuple[str, ...]
    lead: str
    sections: tuple[Section, ...]

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Every grid that goes into a CSV and a LaTeX file."""
        return tuple(grid for section in self.sections for grid in section.grids)

    @property
    def drawings(self) -> tuple[Drawing, ...]:
        """Every figure."""
        return tuple(drawing for section in self.sections for drawing in section.drawings)
