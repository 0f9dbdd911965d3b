"""How the settings of a row differ from those of the base row."""

import json
from collections.abc import Iterator
from typing import Any

from reports import text
from reports.grid import Column, Grid, plain
from reports.schema import Record

_MOST_LINES = 40


def settings_table(record: Record, base: Record) -> Grid | None:
    """Return each setting in which two records differ, by its dotted path; None where they agree."""
    own, of_base = dict(_flattened(record.config)), dict(_flattened(base.config))
    paths = [path for path in dict.fromkeys([*of_base, *own]) if own.get(path) != of_base.get(path)]
    if not paths:
        return None
    more = len(paths) - _MOST_LINES
    return Grid(
        name="",  # the records have all settings
        caption=f"Settings of {text.printable(record.row)} that differ from base.",
        columns=(
            Column("setting", "setting", numeric=False, is_row_header=True),
            Column("base", "base", numeric=False),
            Column("row", "this row", numeric=False),
        ),
        lines=tuple(
            (plain(path), *(plain(side.get(path, text.ABSENT)) for side in (of_base, own)))
            for path in paths[:_MOST_LINES]
        ),
        notes=(f"{text.count(more, 'more setting')} differ.",) if more > 0 else (),
    )


def _flattened(settings: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted path and value, as JSON, of each setting; lists stay whole."""
    if isinstance(settings, dict) and settings:
        for key, value in settings.items():
            yield from _flattened(value, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, settings if isinstance(settings, str) else json.dumps(settings, ensure_ascii=False)
