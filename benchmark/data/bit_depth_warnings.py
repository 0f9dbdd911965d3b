"""What is lost when images are read as 8-bit RGB, told once where they are decoded."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from PIL import Image

from benchmark.data import Source
from benchmark.data.image_io import stored_bits


@runtime_checkable
class HasFiles(Protocol):
    """A source that reads image files."""

    @property
    def files(self) -> Sequence[Path]:
        """The image files it reads."""
        ...


def depth_notices(source: Source) -> list[str]:
    """At most one sentence: how many of a source's images have more than 8 bits a channel, of which 8 are read."""
    deep = [file for file in source.files if bits_of(file) > 8] if isinstance(source, HasFiles) else []
    if not deep:
        return []
    return [f"{deep[0]}: {bits_of(deep[0])} bits a channel, the upper 8 are read ({len(deep)} such images)"]


def bits_of(file: Path) -> int:
    """Bits a channel of an image, by its header alone; 8 for what is no image."""
    with suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError), Image.open(file) as image:
        return stored_bits(image)
    return 8
