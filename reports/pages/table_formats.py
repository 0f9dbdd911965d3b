"""A table as CSV, Markdown and LaTeX. What comes from a file or a YAML is escaped in each.

* CSV has unrounded numbers, and no cell that a spreadsheet would take for a formula.
* Markdown shows every name letter by letter, also inside a table.
* LaTeX is a table for a paper: booktabs rules, the best of a column bold, the second best underlined. No name can open
  a group, a comment or a command. Letters that pdfLaTeX lacks are written as code points, `[U+6F22]`, so that every
  file compiles.
"""

import csv
import io
import re

from reports.grid import Cell, Column, Grid, Value, in_print
from reports.text import ABSENT

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~$])")
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "'": r"\textquotesingle{}", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "-": "{-}", "*": "{*}",
    "−": "$-$", "–": "--", "—": "---", "×": r"$\times$", "·": r"$\cdot$", "±": r"$\pm$", "≤": r"$\leq$",
    "≥": r"$\geq$", "✓": r"$\checkmark$", "✗": r"$\times$", "…": r"\ldots{}", "Δ": r"$\Delta$",
    "µ": r"$\mu$", "μ": r"$\mu$",
}  # fmt: skip
"""Ligatures and brackets are separated too: `--` stays two hyphens, and a `[` after the end of a line is no length."""
T1_LETTERS = frozenset(
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ"
    "ĂăĄąĆćČčĎďĐđĘęĚěĞğİıĹĺĽľŁłŃńŇňŐőŒœŔŕŘřŚśŞşŠšŢţŤťŮůŰűŸŹźŻżŽž"
)
"""Letters that pdfLaTeX sets from its T1 fonts."""


class Markdown(str):
    """Text that is Markdown already and must not be escaped again."""


def csv_text(grid: Grid) -> str:
    """Return the CSV text of a grid; its footer rows follow the others."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_csv_value(column.key) for column in grid.columns])
    writer.writerows([_csv_value(cell.value) for cell in line] for line in (*grid.lines, *grid.footer_rows))
    return out.getvalue()


def _csv_value(value: Value) -> str | int | float:
    """Return a value for a CSV cell. A word that a spreadsheet would take for a formula gets an apostrophe in front."""
    if not isinstance(value, str):
        return "" if value is None else value
    try:
        float(value)
    except ValueError:
        return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
    return value


def markdown_table(grid: Grid) -> Markdown:
    """Return a grid as a pipe table with its caption above and its notes below."""
    shown = in_print(grid)
    heads = [escape_markdown(_heading(column, ", ")) for column in shown.columns]
    rules = ["--:" if column.numeric else ":--" for column in shown.columns]
    lines = [[_markdown_cell(cell, False) for cell in line] for line in shown.lines]
    lines += [[_markdown_cell(cell, True) for cell in line] for line in shown.footer_rows]
    text = [
        f"**{escape_markdown(shown.caption)}**",
        "",
        *(f"| {' | '.join(cells)} |" for cells in (heads, rules, *lines)),
        *(f"\n{escape_markdown(note)}" for note in shown.notes),
    ]
    return Markdown("\n".join(text))


def escape_markdown(text: str) -> str:
    """Return text as Markdown that shows it letter by letter, on one line, also inside a table."""
    line = _MARKDOWN_SPECIAL.sub(r"\\\1", " ".join(text.split()))
    for letter, entity in _MARKDOWN_ENTITIES.items():  # last, because their own signs must not be escaped
        line = line.replace(letter, entity)
    # The entities in addresses keep GitHub from making links; the last rule keeps a line from starting a list.
    line = line.replace("://", "&#58;//").replace("www.", "www&#46;")
    return re.sub(r"^(\d*)([-+=.)])(?=[-=\s]|$)", r"\1\\\2", line)


def _markdown_cell(cell: Cell, is_footer: bool) -> str:
    text = escape_markdown(cell.text)
    if cell.best:
        return f"**{text}**"
    return f"*{text}*" if is_footer and cell.value and isinstance(cell.value, str) else text


def latex_table(grid: Grid) -> str:
    """Return a grid as a `table` with caption and label; its first line says which packages it needs."""
    shown = in_print(grid)
    label = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in shown.name)
    lines, footer_rows = (
        [f"{' & '.join(map(_latex_cell, line))} \\\\" for line in part] for part in (shown.lines, shown.footer_rows)
    )
    has_second = any(cell.second for line in shown.lines for cell in line)
    notes = [*shown.notes, *(["Underlined: second best."] if has_second else [])]
    small_print = r"\parbox{\linewidth}{\footnotesize " + " ".join(map(escape_latex, notes)) + "}"
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,amssymb} and \\usepackage[T1]{fontenc}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(shown.caption)}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{@{{}}{''.join('r' if column.numeric else 'l' for column in shown.columns)}@{{}}}}",
            r"\toprule",
            " & ".join(escape_latex(f"{_heading(column, ' (')}{')' * bool(column.unit)}") for column in shown.columns)
            + r" \\",
            r"\midrule",
            *lines,
            *([r"\midrule"] if lines and footer_rows else []),
            *footer_rows,
            r"\bottomrule",
            r"\end{tabular}",
            *(["", r"\smallskip", small_print] if notes else []),
            r"\end{table}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    """Return text as LaTeX that sets it letter by letter, on one line."""
    return "".join(
        LATEX_SPECIAL.get(letter)
        or (letter if " " <= letter <= "~" or letter in T1_LETTERS else f"{{[}}U+{ord(letter):04X}{{]}}")
        for letter in " ".join(text.split())
    )


def _latex_cell(cell: Cell) -> str:
    text = "" if cell.text == ABSENT else escape_latex(cell.text)
    if cell.best:
        return rf"\textbf{{{text}}}"
    return rf"\underline{{{text}}}" if cell.second else text or "--"


def _heading(column: Column, separator: str) -> str:
    return f"{column.label}{separator}{column.unit}" if column.unit else column.label
