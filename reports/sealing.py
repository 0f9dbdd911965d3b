"""SHA-256 of the parts of a JSON file, kept in the file itself: an edit or a flipped bit is noticed and named.

For files that say what is to be done, not what was measured: those have digests in the file that is written last.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from reports.errors import FileFormatError

DIGESTS = "digests"
"""Key of the digests in a file, by the name of the part. Files of earlier versions have none."""
_RECIPE_LEVELS = 2
"""Levels of a recipe that have digests of their own: `recipe.protocol.coarse`."""
_MOST_NAMED = 3


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file with its digests."""
    content = {key: value for key, value in data.items() if key != DIGESTS}
    return {**content, DIGESTS: dict(_parts(content))}


def unsealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file without its digests, which it must fit; one without digests is returned as it is.

    Raises:
        FileFormatError: It was changed; the message names the parts.
    """
    content = {key: value for key, value in data.items() if key != DIGESTS}
    if DIGESTS not in data:
        return content
    noted = data[DIGESTS]
    if not isinstance(noted, dict):
        raise FileFormatError(f"{DIGESTS} is no object")
    try:
        actual = dict(_parts(content))
    except RecursionError:
        raise FileFormatError("is nested too deeply") from None
    changed = [name for name in {**actual, **noted} if actual.get(name) != noted.get(name)]
    if changed:
        more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
        names = ", ".join(repr(name[:80]) for name in changed[:_MOST_NAMED])
        raise FileFormatError(f"was changed after it was written, in {names}{more}: the SHA-256 does not fit")
    return content


def _parts(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each part of a file with its digest: every key, and of `rows` every key of each row."""
    for key, value in content.items():
        if key == "rows" and isinstance(value, list):
            rows = [row if isinstance(row, dict) else {} for row in value]
            yield key, _digest([row.get("row") for row in rows])
            for row in rows:
                yield from _parts_of_row(row)
        else:
            yield key, _digest(value)


def _parts_of_row(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in row.items():
        yield from _below(f"row {row.get('row')}: {key}", value, _RECIPE_LEVELS if key == "recipe" else 0)


def _below(name: str, value: Any, levels: int) -> Iterator[tuple[str, str]]:
    if not levels or not isinstance(value, dict) or not value:
        yield name, _digest(value)
        return
    for key, item in value.items():
        yield from _below(f"{name}.{key}", item, levels - 1)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
