"""What is lost when images are read as 8-bit RGB, told once where they are decoded."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from PIL import Image

from benchmark.data import Source


@runtime_checkable
class HasFiles(Protocol):
    """A source that reads image files."""

    @property
    def files(self) -> Sequence[Path]:
        """The image files it reads."""
        ...


def depth_notices(source: Source) -> list[str]:
    """At most one sentence: how many of a source's images have 16 bits a channel, of which 8 are read."""
    deep = [file for file in source.files if is_sixteen_bit(file)] if isinstance(source, HasFiles) else []
    if not deep:
        return []
    return [f"{deep[0]}: 16 bits a channel, the upper 8 are read ({len(deep)} such images)"]


def is_sixteen_bit(file: Path) -> bool:
    """Whether an image has 16 bits a channel, by its header alone; False for what is no image."""
    with suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError), Image.open(file) as image:
        # Pillow shows 16-bit colour as 8-bit RGB; only its decoder's settings say what is in the file.
        return ";16" in image.mode or any(";16" in str(tile[3]) for tile in image.tile)
    return False
