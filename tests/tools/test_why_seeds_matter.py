"""The page about seeds says what the published records say."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_numbers_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is up to date; one seed alone says better, another worse, and all together that nobody can tell."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    sys.modules.pop("why_seeds_matter", None)
    import why_seeds_matter  # pyright: ignore[reportMissingImports]

    assert why_seeds_matter.main(["--check"]) == 0
    *alone, together = why_seeds_matter.measured()[0]
    assert {"better than base", "worse than base"} <= {line.conclusion for line in alone}
    assert together.conclusion == "cannot tell"
    assert b"seed 0 alone" in why_seeds_matter.FIGURE.read_bytes()
