"""Mutants of the shipped experiment files and of `--set`: each is read, or refused in lines that say why.

`FUZZ=2000 pytest -m torture tests/fuzz/test_experiment_files.py` for more; the mutants are the same in every run.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from benchmark.errors import BenchmarkError
from benchmark.experiment.load import load
from benchmark.registry import Registry

FILES = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))
MOST_SECONDS = 5.0
"""Of the processor, for one mutant."""
VALUES = (
    *("", "~", "null", "true", "-1", "0", "1", "0.5", ".inf", "-.inf", ".nan", "1e400", "1_0", "1000000000000"),
    *("x" * 300, "9" * 5000, "[", "]", "{", "}", "[]", "{}", "[[]]", "{a: b}", "[1, null, x]", "{1: {2: {3: 4}}}"),
    *("&a [*a]", "{<<: *a}", "*a", "&a x", "!!int x", "!!set {a}", "!!python/name:os.system", "!x y", "!<!> z", "---"),
    *(
        '"\\ud83e"',
        '"\\ud83e\\udd84"',
        '"\\0"',
        '"\\UFFFFFFFF"',
        "'",
        '"',
        "|",
        ">",
        "?",
        ":",
        "- a",
        "\t",
        "%YAML 9.9",
    ),
    *("[" * 3000, "{a: " * 500, "../" * 50, "/dev/zero", "\0", "\ufeff", "\udc80", "\x85", "\u2028", "\U0001f984"),
)
PATHS = (
    *("name", "seeds", "data.train", "data.val.count", "data.test.source", "model.backbone", "model.backbone.name"),
    *("model.backbone.depths", "model.backbone.width", "model.head", "model.head.name", "model.weights", "gates"),
    *("protocol.order", "protocol.coarse", "protocol.coarse.steps", "protocol.coarse.images", "protocol.coarse.loss"),
    *("protocol.coarse.augment", "protocol.coarse.optimizer", "protocol.coarse.schedule", "gates.size", "tables"),
    *("tables.heads", "report.primary", "report", "claims", "search", "search.parameters", "tuning", "short_form", ""),
)


def broken(content: bytes, random: "st.DataObject") -> bytes:
    """Return a file with one piece of it deleted, doubled, moved, or replaced by a value that is seldom right."""
    lines = content.splitlines(keepends=True) or [b""]
    at, other = (random.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    start, end = sorted(random.draw(st.integers(0, len(content))) for _ in range(2))
    value = random.draw(st.sampled_from(VALUES)).encode(errors="surrogateescape")
    match random.draw(st.sampled_from(["delete", "double", "swap", "indent", "value", "key", "bytes", "encode"])):
        case "delete":
            return content[:start] + content[min(end, start + 40) :]
        case "double":
            return b"".join([*lines[:at], lines[at], *lines[at:]])
        case "swap":
            lines[at], lines[other] = lines[other], lines[at]
        case "indent":
            lines[at] = b"  " * random.draw(st.integers(0, 4)) + lines[at].lstrip()
        case "value":
            lines[at] = lines[at].partition(b":")[0] + b": " + value + b"\n"
        case "key":
            lines[at] = lines[at].replace(lines[at].strip().partition(b":")[0], value, 1)
        case "bytes":
            return content[:start] + random.draw(st.binary(max_size=4)) + content[start + 1 :]
        case _:
            return random.draw(st.sampled_from([b"\xff\xfe", b"\xef\xbb\xbf", b"\x00"])) + content
    return b"".join(lines)


def check(read: Callable[[], object]) -> None:
    """Call a reader; what it refuses must be told in lines that can be printed, and in a few seconds."""
    started = time.process_time()
    try:
        read()
    except BenchmarkError as error:
        lines = str(error).split("\n")
        assert all(line.isprintable() and len(line) > 10 for line in lines), lines
    assert time.process_time() - started < MOST_SECONDS


def fuzz_files(count: int, folder: Path) -> None:
    @seed(0)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def mutate(random: "st.DataObject") -> None:
        content = random.draw(st.sampled_from(FILES)).read_bytes()
        for _ in range(random.draw(st.integers(1, 3))):
            content = broken(content, random)
        file = folder / "mutant.yaml"
        file.write_bytes(content)
        check(lambda: load(file, Registry()))

    mutate()


def fuzz_sets(count: int) -> None:
    @seed(0)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(PATHS), st.sampled_from(VALUES), st.sampled_from(["", ".x", ".", "..", ".0", "\n"]))
    def mutate(path: str, value: str, suffix: str) -> None:
        file = next(file for file in FILES if file.stem == "quickstart")
        check(lambda: load(file, Registry(), [f"{path}{suffix}={value}"]))

    mutate()


@pytest.mark.usefixtures("_beside_its_parents")
def test_a_broken_file_is_read_or_refused(tmp_path: Path) -> None:
    """A hundred mutants: no other exception than the user's error, and none that takes long."""
    fuzz_files(100, tmp_path)


def test_a_broken_override_is_read_or_refused() -> None:
    """The same of fifty overrides of the command line."""
    fuzz_sets(50)


@pytest.mark.torture
@pytest.mark.usefixtures("_beside_its_parents")
def test_many_broken_files_are_read_or_refused(tmp_path: Path) -> None:
    """Both, for as long as one likes."""
    count = int(os.environ.get("FUZZ", "2000"))
    fuzz_files(count, tmp_path)
    fuzz_sets(count)


@pytest.fixture
def _beside_its_parents(tmp_path: Path) -> None:
    """Put the shipped files where a mutant may extend them."""
    for file in FILES:
        (tmp_path / file.name).write_bytes(file.read_bytes())
