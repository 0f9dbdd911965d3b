"""Photographs with drawn damage: the packaged portraits, and those of a folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data import damage_mask
from benchmark.data.sources import photographs
from benchmark.data.sources.photographs import Photographs, packaged_portraits
from benchmark.errors import DataError

PORTRAIT = packaged_portraits()["grace_hopper"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two aligned photographs: the face of the portrait, and its mirror image."""
    face = Image.open(PORTRAIT).convert("RGB").crop((84, 17, 448, 381)).resize((128, 128))
    face.save(tmp_path / "a.png")
    face.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "b.png")
    return tmp_path


def test_the_packaged_portrait_has_spots_on_the_skin_alone() -> None:
    """Each version has other damage; the target is the portrait, and its corner has no spots."""
    source = Photographs(preset="severe", size=128)
    names = [source.read(index).name for index in range(len(source))]
    first, second = (source.read(names.index(f"grace_hopper__v{version}")) for version in (0, 1))
    assert first.target.shape == (128, 128, 3) and np.array_equal(first.target, second.target)
    assert not np.array_equal(first.degraded, second.degraded)
    spots = damage_mask(first.degraded, first.target)
    assert 0.002 < spots.mean() < 0.2 and not spots[:30, :30].any()


def test_only_installed_portraits_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without scikit-image there is one portrait; without any, the line says what to do."""
    monkeypatch.setattr(photographs, "find_spec", lambda name: None)
    assert len(Photographs(size=128)) == 2
    monkeypatch.setattr(photographs, "packaged_portraits", dict)
    with pytest.raises(DataError, match="name a folder, or write photographs: false"):
        Photographs()


def test_a_folder_gives_its_first_pictures(folder: Path) -> None:
    """`count` takes them by name; another count, preset or picture is another fingerprint."""
    source = Photographs(folder, count=1, versions=3, size=128)
    assert [source.read(index).name for index in range(len(source))] == ["a__v0", "a__v1", "a__v2"]
    others = [Photographs(folder, size=128), Photographs(folder, "severe", count=1, versions=3, size=128)]
    assert len({source.fingerprint, *(other.fingerprint for other in others)}) == 3
    assert [file.name for file in others[0].files] == ["a.png", "b.png"]


def test_a_picture_without_a_face_is_named(tmp_path: Path) -> None:
    """There is nothing to paint spots on."""
    Image.new("RGB", (96, 96), (20, 80, 200)).save(tmp_path / "sky.png")
    with pytest.raises(DataError, match=r"sky\.png: no skin where a face aligned as in FFHQ has it"):
        Photographs(tmp_path).read(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"versions": 0}, "versions is 0"), ({"count": 0}, "count is 0"), ({"mask_folder": Path()}, "needs a folder")],
)
def test_options_out_of_range_are_named(options: dict[str, object], message: str) -> None:
    """One line says what is allowed."""
    with pytest.raises(DataError, match=f"photographs: .*{message}"):
        Photographs(**options)  # pyright: ignore[reportArgumentType]
