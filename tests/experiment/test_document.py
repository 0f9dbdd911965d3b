"""YAML is read strictly, and every value keeps its place."""

import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ExperimentError
from benchmark.experiment.document import parse, read, read_with_parents
from benchmark.experiment.yaml_text import LARGEST_INTEGER


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
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.floats(allow_nan=False)
    | st.text(st.sampled_from("abnoyesf~ -:#")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(plain)
def test_what_is_written_is_read(data: object) -> None:
    """Data written by a YAML writer come back equal, words like `no` quoted by it included."""
    assert parse(yaml.safe_dump({"x": data}), "f").data == {"x": data}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\ntables: &t\n  again: *t\n", "f:3: *t stands for a value that contains it"),
        (
            "a: &a [x, x, x, x]\n" + "".join(f"b{i}: &b{i} [{'*a, ' * 200}]\n" for i in range(30)),
            "more than 20,000 values",
        ),
        ("x: " + "[" * 3000 + "]" * 3000, "f:1: more than 40 levels of nesting"),
        ("a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 20 + "*a" + "]" * 20, "f:1: more than 40 levels of nesting"),
        ("x:\n  y: 9223372036854775808", "f:2: 9223372036854775808: the largest whole number is 9223372036854775807"),
        ("x: " + "9" * 5000, "the largest whole number is"),
        ("x: !!int hello", "f:1: 'hello' is no int"),
        ("x: !!timestamp 2001-01-01", "only plain data are allowed here"),
        ("x: !!set {a}", "only plain data are allowed here"),
        ('x: 1\ny: "\\ud83e"', r"f:2: '\ud83e' contains half a character"),
        ('x: "a\\0b"', "contains the character NUL"),
        ("x: 1\ny: a\0b", r"f:2: the character '\x00' may not stand here"),
        ('x: 1\ny: "\\UFFFFFFFF"', "f:2: the number of a character"),
        ('"a\\nb": 1', r"key 'a\nb': keys are short and printable"),
        ("x: " + "y" * 1_000_000, "1,000,003 characters; settings have at most 1,000,000"),
        ("a: 1\n---\nb: 2", "f:2: expected a single document"),
    ],
)
def test_what_a_text_may_not_be_is_one_line(text: str, message: str) -> None:
    """Rings, aliases that multiply, depth, long numbers, tags and broken characters end at once, with their line."""
    with pytest.raises(ExperimentError) as error:
        parse(text, "f")
    assert message in str(error.value) and str(error.value).isprintable()


def test_two_escaped_halves_are_one_character() -> None:
    """JSON writes a character outside the first 65,536 so."""
    assert parse('"\\ud83e\\udd84": "\\ud83e\\udd84"', "f").data == {"\U0001f984": "\U0001f984"}


def test_an_alias_stands_for_its_value_each_time() -> None:
    """As YAML says; the copies are independent, and each has the place of the original."""
    document = parse("a: &x {b: [1]}\nc: *x\n", "f")
    assert document.data == {"a": {"b": [1]}, "c": {"b": [1]}} and document.data["a"] is not document.data["c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: x".encode("utf-16"), "x.yaml:1: is in UTF-16; save it in UTF-8"),
        (b"a: 1\nb: \xe9\n", "x.yaml:2: byte 0xe9 is not UTF-8"),
        (b"", "x.yaml:1: expected settings of the form `key: value`"),
        (b"- a\n", "x.yaml:1: expected settings of the form `key: value`"),
        (b"a" * 4_000_001, "x.yaml: is larger than 4,000,000 bytes"),
    ],
)
def test_a_file_that_holds_no_settings_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    """The encoding, and what is there in place of settings, with file and line."""
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(ExperimentError, match=re.escape(message)):
        read(tmp_path / "x.yaml")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfname: x")
    assert read(tmp_path / "x.yaml").data == {"name": "x"}


def test_a_pipe_or_device_is_not_opened(tmp_path: Path) -> None:
    """A pipe without a writer would wait for ever, /dev/zero has no end."""
    os.mkfifo(tmp_path / "x.yaml")
    for file, kind in ((tmp_path / "x.yaml", "a pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(ExperimentError, match=f"is {kind}, not a regular file; expected an experiment file"):
            read(file)


def test_files_that_extend_each_other_are_found_under_any_spelling(tmp_path: Path) -> None:
    """Through `sub/..` each turn of the ring has another name."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.yaml").write_text("extends: sub/../b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: sub/../a.yaml\n")
    with pytest.raises(ExperimentError, match="files extend each other in a ring"):
        read_with_parents(tmp_path / "a.yaml")


def test_a_file_that_many_extend_is_read_once(tmp_path: Path) -> None:
    """Thirty files that each extend the next one twice would be read a billion times."""
    for number in range(30):
        (tmp_path / f"{number}.yaml").write_text(f"extends: [{number + 1}.yaml, {number + 1}.yaml]\nx{number}: 1\n")
    (tmp_path / "30.yaml").write_text("name: last\n")
    assert read_with_parents(tmp_path / "0.yaml").data.keys() == {"name", *(f"x{number}" for number in range(30))}
    (tmp_path / "30.yaml").write_text("extends: 31.yaml\n")
    for number in range(31, 60):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n")
    with pytest.raises(ExperimentError, match="extended over more than 40 levels"):
        read_with_parents(tmp_path / "0.yaml")
