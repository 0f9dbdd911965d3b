"""A grid as a LaTeX table for a paper: booktabs rules, the best of a column bold, the second underlined.

What stands in a file or a YAML is escaped: no name can open a group, a comment or a command. Letters that pdfLaTeX does
not know without further packages are written as their code point, `[U+6F22]`, so that every file compiles.
"""

from reports.grid import Cell, Column, Grid, Line, on_page
from reports.text import ABSENT

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "'": r"\textquotesingle{}", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "-": "{-}", "*": "{*}",
    "−": "$-$", "–": "--", "—": "---", "×": r"$\times$", "·": r"$\cdot$", "±": r"$\pm$", "≤": r"$\leq$",
    "≥": r"$\geq$", "✓": r"$\checkmark$", "✗": r"$\times$", "…": r"\ldots{}", "Δ": r"$\Delta$",
    "µ": r"$\mu$", "μ": r"$\mu$",
}  # fmt: skip
"""Ligatures and brackets are kept apart, too: `--` stays two hyphens, and a `[` after a line's end is no length."""


_IN_T1 = frozenset(
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ"
    "ĂăĄąĆćČčĎďĐđĘęĚěĞğİıĹĺĽľŁłŃńŇňŐőŒœŔŕŘřŚśŞşŠšŢţŤťŮůŰűŸŹźŻżŽž"
)
"""Letters that pdfLaTeX sets from its T1 fonts."""


def render(grid: Grid) -> str:
    """The grid as a `table` with caption and label; its first line says which packages it needs."""
    shown = on_page(grid)
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,amssymb} and \\usepackage[T1]{fontenc}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(shown.caption)}}}",
            rf"\label{{tab:{_label(shown.name)}}}",
            rf"\begin{{tabular}}{{@{{}}{''.join('r' if column.numeric else 'l' for column in shown.columns)}@{{}}}}",
            r"\toprule",
            _row([_head(column) for column in shown.columns]),
            r"\midrule",
            *_body(shown),
            r"\bottomrule",
            r"\end{tabular}",
            *_notes(shown),
            r"\end{table}",
            "",
        ]
    )


def escape(text: str) -> str:
    """Text as LaTeX sets it letter by letter, on one line."""
    return "".join(_letter(letter) for letter in " ".join(text.split()))


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    return letter if " " <= letter <= "~" or letter in _IN_T1 else _code_point(letter)


def _code_point(letter: str) -> str:
    return f"{{[}}U+{ord(letter):04X}{{]}}"


def _label(name: str) -> str:
    """A name as a label: letters, digits and hyphens."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)


def _head(column: Column) -> str:
    return escape(f"{column.label} ({column.unit})" if column.unit else column.label)


def _body(grid: Grid) -> list[str]:
    lines = [_line(line) for line in grid.lines]
    apart = [_line(line) for line in grid.apart]
    return [*lines, *([r"\midrule"] if lines and apart else []), *apart]


def _line(line: Line) -> str:
    return _row([_cell(cell) for cell in line])


def _cell(cell: Cell) -> str:
    text = "" if cell.text == ABSENT else escape(cell.text)
    if cell.best:
        return rf"\textbf{{{text}}}"
    return rf"\underline{{{text}}}" if cell.second else text or "--"


def _row(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _notes(grid: Grid) -> list[str]:
    has_second = any(cell.second for line in grid.lines for cell in line)
    notes = [*grid.notes, *(["Underlined: next to the best."] if has_second else [])]
    if not notes:
        return []
    return ["", r"\smallskip", r"\parbox{\linewidth}{\footnotesize " + " ".join(map(escape, notes)) + "}"]
