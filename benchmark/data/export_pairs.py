"""Pairs written as files, for use elsewhere or as folders of one's own."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.data import Source
from benchmark.data.parallel import each
from benchmark.files import write_bytes


def write_pairs(source: Source, count: int, folder: Path, workers: int, *, with_maps: bool) -> Iterator[int]:
    """Write the first `count` pairs as `degraded/NAME.png` and `target/NAME.png`, 8-bit RGB; yields how many are done.

    `with_maps`: also `maps/NAME.npz` with the float16 arrays `gain` (K) and `spots` (D), `H W 3` each, where the source
    knows them. Raises OSError if the folder cannot be written and DataError if a pair cannot be read.
    """
    work = partial(_write_pair, source, folder, with_maps)
    yield from (done + 1 for done, _ in enumerate(each(work, count, workers)))


def _write_pair(source: Source, folder: Path, with_maps: bool, index: int) -> None:
    pair = source.read(index)
    for role, pixels in (("degraded", pair.degraded), ("target", pair.target)):
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        write_bytes(folder / role / f"{pair.name}.png", png.getvalue())
    if with_maps and pair.gain is not None and pair.spots is not None:
        maps = io.BytesIO()
        np.savez_compressed(maps, gain=pair.gain, spots=pair.spots)
        write_bytes(folder / "maps" / f"{pair.name}.npz", maps.getvalue())
