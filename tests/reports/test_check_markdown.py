"""Numbers that a text quotes are those of the records, at the precision in which they are written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports import ReportError
from reports.claims.check_markdown import check, find

Run = Callable[..., Path]
Edit = Callable[..., dict[str, Any]]


@pytest.fixture
def text(make_run: Run, edit: Edit) -> Callable[[str], tuple[int, list[str]]]:
    """A function that checks a text beside a run of two rows whose PSNR is set to known means, by its mistakes."""
    run = make_run("run", rows={"base": None, "heads.rgb": "heads"}, size=(26, 26))
    for row, means in {"base": (34.25, 34.75), "heads.rgb": (33.0, 33.25)}.items():
        for seed, mean in enumerate(means):
            scores = {"test": {"psnr": {"mean": mean, "std": 1.0, "n": 4}}}
            edit(run / row / f"seed{seed}/record.json", scores=scores)
    claim = {"id": "c", "text": "x", "form": "within", "row": "base", "gate": "size"}
    edit(run / "plan.json", claims=[claim])

    def checked(content: str) -> tuple[int, list[str]]:
        file = run.parent / "README.md"
        file.write_text(content, encoding="utf-8")
        count, mistakes = check(file)
        return count, [f"{one.quote.line}: {one.quote.written} {one.message}" for one in mistakes]

    return checked


RIGHT = """\
<!-- numbers: run -->
It reaches 34.50 dB<!-- = base psnr -->, **34.5**<!-- = base psnr -->, from 34.25<!-- = base psnr lowest --> to
34.8 dB<!-- = base psnr highest -->, 0.5<!-- = base psnr spread -->; that is +1.38<!-- = base - heads.rgb psnr --> and
−1.375<!-- = heads.rgb - base psnr --> dB, of 4 images<!-- = images --> and 2<!-- = seeds --> seeds, at
0.36 MB<!-- = base MB -->, 360,000 bytes<!-- = base bytes -->, 90,000 weights<!-- = base params -->. Of the claims
1<!-- = claims holds --> holds and 0<!-- = claims unresolved --> are open.

```
99<!-- = base psnr --> in fenced code is an example
```

<!-- numbers: run | row psnr - MB -->
| row | PSNR | words | MB |
|---|---|---|---|
| `base` (ours) | **34.50** | 7 | 0.36 |
| `heads.rgb` | 33.1 | 8 | 0.28 |
| other | 1 | 1 | 1 |

| after | the table |
| `base` | 1 | 1 | 1 |
"""


def test_right_numbers_are_right(text: Callable[[str], tuple[int, list[str]]]) -> None:
    """Means, differences, ends over seeds, facts, counts and tables, rounded as written; code is left alone."""
    count, mistakes = text(RIGHT)
    assert mistakes == []
    assert count == 18


@pytest.mark.parametrize(
    ("quote", "message"),
    [
        ("34.51<!-- = base psnr -->", "2: 34.51 the records say 34.5000"),
        ("-1.375<!-- = base - heads.rgb psnr -->", "2: -1.375 the records say 1.37500"),
        ("words<!-- = base psnr -->", "2:  no number stands before the mark"),
        ("1<!-- = bsae psnr -->", "no row 'bsae'"),
        ("1<!-- = base beauty -->", "base beauty: no finished seed has it"),
        ("1<!-- = base psnr most -->", "only lowest, highest or spread"),
        ("1<!-- = base -->", "write ROW METRIC"),
        ("1<!-- = identity MB -->", "identity has no MB"),
        ("1<!-- numbers: nowhere -->2<!-- = base psnr -->", "no plan.json here"),
        ("0.1<!-- = base - heads.rgb psnr low -->", "2: 0.1 "),
        ("0.1<!-- = base - base psnr low -->", "a row has no difference to itself"),
        ("0.1<!-- = base - base psnr -->", "a row has no difference to itself"),
        ("0<!-- = claims hold -->", "write claims holds, refuted or unresolved"),
        ("33-34.6<!-- = base psnr -->", "2: 34.6 the records say 34.500"),
        ("34.5<!-- = base psnr in elsewhere -->", "no plan.json here"),
    ],
)
def test_wrong_numbers_are_told(text: Callable[[str], tuple[int, list[str]]], quote: str, message: str) -> None:
    """Line, what is written and what the records say, or why they say nothing."""
    count, mistakes = text(f"<!-- numbers: run -->\n{quote}\n")
    assert count == len(mistakes) == 1
    assert message in mistakes[0]


def test_a_mark_needs_a_folder(text: Callable[[str], tuple[int, list[str]]]) -> None:
    """Without a folder above it a mark says what is missing."""
    assert "says which run it is from" in text("34.50<!-- = base psnr -->")[1][0]


def test_a_text_that_is_none_is_told(tmp_path: Path) -> None:
    """A file that is missing, or no text, is one line."""
    (tmp_path / "image.md").write_bytes(b"\xff\xfe\x00")
    for name in ("image.md", "lost.md"):
        with pytest.raises(ReportError, match=name):
            check(tmp_path / name)


def test_the_words_between_number_and_mark_hold_no_other_number() -> None:
    """The number nearest to a mark is the one quoted, with its unit between."""
    (quote,) = find("from 3 to 34.5 dB<!-- = base psnr -->")
    assert quote.written == "34.5"
