"""Damaged images and tables of splits: right pixels or one line, in bounded time, and nothing is written anywhere."""

import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.audit.measurements import read_header
from benchmark.data.image_io import FORMATS, read_image
from benchmark.data.pairing import by_csv
from benchmark.data.splits import Splits, SplitSpec, select_split
from benchmark.errors import DataError

MOST_SECONDS = 20
MUTANTS = int(os.environ.get("FUZZ", "60"))
"""Of each format; `FUZZ=2000 pytest tests/fuzz/test_images.py` for more."""
SEEDED = settings(max_examples=MUTANTS, derandomize=True, suppress_health_check=list(HealthCheck))


def encoded(name: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    file = io.BytesIO()
    frames = {"save_all": True, "append_images": [Image.new("RGB", (24, 20))]} if name in ("GIF", "TIFF") else {}
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(pixels).save(file, name, **frames, **({"exif": exif} if name in ("JPEG", "PNG", "WEBP") else {}))
    return file.getvalue()


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A few bytes changed, a piece cut out, doubled or moved, or an end cut off."""
    edits = draw(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8))
    first, second = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    kind = draw(st.sampled_from(("bytes", "early bytes", "cut", "without", "doubled", "zeros")))

    def mutate(content: bytes) -> bytes:
        data = bytearray(content)
        reach = min(len(data), 64) if kind == "early bytes" else len(data)
        for place, value in edits:
            data[int(place * reach)] = value
        start, end = int(first * len(data)), int(second * len(data))
        if kind == "cut":
            return bytes(data[:end])
        if kind == "without":
            return bytes(data[:start] + data[end:])
        if kind == "doubled":
            return bytes(data[:end] + data[start:])
        return bytes(data[:start] + bytes(end - start) + data[end:]) if kind == "zeros" else bytes(data)

    return mutate


def check(read: Callable[[Path], object], file: Path) -> None:
    """Check that reading gives a result or one line that names a file, soon, and leaves the folder as it is."""
    before = {path: path.stat().st_size for path in file.parent.iterdir()}
    started = time.monotonic()
    try:
        result = read(file)
        assert not isinstance(result, np.ndarray) or (result.dtype == np.uint8 and result.shape[2:] == (3,))
    except DataError as error:
        assert file.name in str(error) and len(str(error).splitlines()) == 1
    assert time.monotonic() - started < MOST_SECONDS
    assert {path: path.stat().st_size for path in file.parent.iterdir()} == before


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_image_gives_pixels_or_one_line(tmp_path: Path, name: str) -> None:
    """Each format, damaged at random: `read_image` and the header that the audit reads."""
    content, file = encoded(name), tmp_path / "x.png"

    @SEEDED
    @given(mutations())
    def run(mutate: Callable[[bytes], bytes]) -> None:
        file.write_bytes(mutate(content))
        check(read_image, file)
        check(read_header, file)

    run()


SPLITS = b'{"train": ["a.png", "b.png"], "val": ["c"], "test": ["sub/d.jpg"]}'
TABLES = {
    "splits.json": SPLITS,
    "splits.csv": b"image,split\na.png,train\nb.png,train\nc,val\nsub/d.jpg,test\n",
    "groups.csv": b"image,group\na.png,anna\nb.png,anna\nc,bo\nsub/d.jpg,cy\n",
    "pairs.csv": b"degraded,target,name\nx.png,y.png,one\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_damaged_table_gives_names_or_one_line(tmp_path: Path, name: str) -> None:
    """Splits in JSON and CSV, groups and pairs, damaged at random."""
    file = tmp_path / name
    for image in ("x.png", "y.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / image)
    files = {image: [tmp_path / f"{image}.png"] for image in ("a", "b", "c")} | {"sub/d": [tmp_path / "sub/d.jpg"]}

    def read(path: Path) -> object:
        if name == "pairs.csv":
            return by_csv(path)
        splits: Splits = path if name.startswith("splits") else {"train": 2, "val": 1, "test": 1}
        groups = path if name.startswith("groups") else None
        names, _ = select_split(files, SplitSpec("train", splits, groups, 0), tmp_path / "splits.json")
        assert set(names) <= set(files) and names
        return names

    @SEEDED
    @given(mutations())
    def run(mutate: Callable[[bytes], bytes]) -> None:
        file.write_bytes(mutate(TABLES[name]))
        check(read, file)

    run()


@SEEDED
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("train", "val", "x")), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_splits_of_any_form_give_names_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    """JSON of every other form than a list of names for each split."""
    folder = tmp_path_factory.mktemp("splits")
    file = folder / "splits.json"
    file.write_text(json.dumps(data))
    files = {image: [folder / f"{image}.png"] for image in ("a", "b")}
    check(lambda path: select_split(files, SplitSpec("train", path, None, 0), file), file)
