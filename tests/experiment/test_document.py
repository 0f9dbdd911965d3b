"""YAML is read strictly, and every value keeps its place."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ExperimentError
from benchmark.experiment.document import parse, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5E-3", 5e-3),
        ("10_000_000", 10_000_000),
        ("0.5", 0.5),
        ("-3", -3),
        ("true", True),
        ("null", None),
    ],
)
def test_numbers_are_numbers(text: str, value: object) -> None:
    """`1e-4` is a number, which plain PyYAML reads as a word."""
    assert parse(f"x: {text}", "f").data == {"x": value}


@pytest.mark.parametrize("text", ["no", "off", "yes", "on", "12:30:00", "1.2.3"])
def test_words_stay_words(text: str) -> None:
    """What YAML 1.1 turns into booleans and base-60 numbers stays a word."""
    assert parse(f"x: {text}", "f").data == {"x": text}


def test_a_repeated_key_is_an_error_with_its_line() -> None:
    """Of two equal keys none wins in silence."""
    with pytest.raises(ExperimentError, match=r"f.yaml:3: key 'a' is given twice"):
        parse("a: 1\nb: 2\na: 3\n", "f.yaml")


def test_every_value_keeps_its_place() -> None:
    """The place of a path is its line; of an unknown path the line of what stands above it."""
    document = parse("a:\n  b: 1\n  c: [1, 2]\n", "f")
    assert document.place(("a", "b")) == "f:2"
    assert document.place(("a", "c", 1)) == "f:3"
    assert document.place(("a", "nothing")) == "f:1"


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\x00", "? {a: 1}\n: 2", "!!python/object:os.system x: 1", "a: !x 1"]
)
def test_broken_text_is_a_user_error(text: str) -> None:
    """What is no YAML, or wants to be code, is refused with one line."""
    with pytest.raises(ExperimentError):
        parse(text, "f")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A missing file, a folder, a binary file and a bare list each get a message with the path."""
    binary, bare = tmp_path / "b.yaml", tmp_path / "l.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    bare.write_text("[1, 2]")
    for file in (tmp_path / "no.yaml", tmp_path, binary, bare):
        with pytest.raises(ExperimentError, match=file.name):
            read(file)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.sampled_from("abnoyesf~ -:#")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(plain)
def test_what_is_written_is_read(data: object) -> None:
    """Data written by a YAML writer come back equal, words like `no` quoted by it included."""
    assert parse(yaml.safe_dump({"x": data}), "f").data == {"x": data}
