"""Tables in a terminal, or in a file."""

from rich.console import Console, RenderableType
from rich.table import Table

_WIDTH_IN_A_FILE = 200
"""A file or a pipe has no width: there each row is one line."""


def new_table(*columns: str, numbers: int = 0) -> Table:
    """A table without lines; its last `numbers` columns are right-aligned."""
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index >= len(columns) - numbers else "left")
    return table


def show_table(table: RenderableType) -> None:
    console = Console(highlight=False, markup=False)
    (console if console.is_terminal else Console(highlight=False, markup=False, width=_WIDTH_IN_A_FILE)).print(table)
