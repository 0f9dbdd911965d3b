"""Clean faces with new spots in each epoch: a pure function of seed, stage and position like all patches."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data import Source
from benchmark.data.cache import cached
from benchmark.data.sampling import Sampler
from benchmark.data.sources.clean_folder import CleanFolder
from benchmark.errors import DataError
from benchmark.registry import Registry
from benchmark.synthetic_faces import draw_portrait

SIDE_PX = 72


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn faces and masks for them, skin everywhere below the middle."""
    folder = tmp_path_factory.mktemp("clean")
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    mask[SIDE_PX // 3 :, 8:-8] = 255
    for index in range(2):
        portrait = draw_portrait(np.random.default_rng(index), SIDE_PX)
        for name, image in (("faces", np.uint8(255 * portrait.image)), ("masks", mask)):
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / name / f"f{index}.png")
    return folder


def source(clean: Path, *, fresh: bool = True) -> CleanFolder:
    return CleanFolder(clean / "faces", "severe", mask_folder=clean / "masks", fresh=fresh)


def ready(made: Source, root: Path) -> Source:
    return cached(made, root, 1)


def patches(made: Source, count: int, seed: int = 0, stage: str = "coarse") -> list[np.ndarray]:
    sampler = Sampler(made, seed, stage, SIDE_PX, [])
    return [sampler.patch_at(position).degraded for position in range(count)]


def test_each_epoch_draws_other_spots_on_the_same_faces(clean: Path, tmp_path: Path) -> None:
    """Three epochs of two faces: six degraded images, two targets; from the cache as from the files."""
    made = source(clean)
    kept = ready(made, tmp_path)
    sampler = Sampler(kept, 0, "coarse", SIDE_PX, [])
    pairs = [sampler.patch_at(position) for position in range(6)]
    assert len({pair.degraded.tobytes() for pair in pairs}) == 6
    assert len({pair.target.tobytes() for pair in pairs}) == 2
    assert pairs[0].gain is not None
    for pair, direct in zip(pairs, patches(made, 6), strict=True):
        assert np.array_equal(pair.degraded, direct)
    assert [folder.name.split("-")[0] for folder in tmp_path.iterdir()] == ["CleanFaces"]


def test_a_position_has_one_patch(clean: Path) -> None:
    """Asked twice it is the same; another seed or stage gives others."""
    first = patches(source(clean), 2)
    assert all(map(np.array_equal, first, patches(source(clean), 2)))
    for other in (patches(source(clean), 2, seed=1), patches(source(clean), 2, stage="psnr")):
        assert not any(map(np.array_equal, first, other))


def test_without_epochs_the_damage_is_that_of_the_first_version(clean: Path) -> None:
    """Val and test are read without epochs: each face has one damage, that which `fresh: false` gives it."""
    made, fixed = source(clean), source(clean, fresh=False)
    assert all(np.array_equal(made.read(i).degraded, fixed.read(i).degraded) for i in range(2))
    assert made.fingerprint != fixed.fingerprint


def test_sources_that_stay_the_same_repeat_their_pairs(clean: Path) -> None:
    """Without `fresh` every epoch shows the same damage."""
    assert len({patch.tobytes() for patch in patches(source(clean, fresh=False), 6)}) == 2


def test_a_mixture_hands_the_epoch_on(clean: Path) -> None:
    """Fresh faces within `multiple` are fresh there, too; the others stay."""
    faces = {"source": "clean_folder", "folder": clean / "faces", "mask_folder": clean / "masks"}
    mix = Registry().create("source", "multiple", {"sources": [{**faces, "fresh": True}, {**faces, "seed": 7}]})
    sampler = Sampler(mix, 0, "coarse", SIDE_PX, [])
    pairs = [sampler.patch_at(position) for position in range(12)]
    seen = {number: {p.degraded.tobytes() for p in pairs if p.name.startswith(number)} for number in ("1/", "2/")}
    assert {number: len(images) for number, images in seen.items()} == {"1/": 6, "2/": 2}


def test_fresh_has_no_versions(clean: Path) -> None:
    """Each epoch is a version of its own."""
    with pytest.raises(DataError, match="leave out versions"):
        CleanFolder(clean / "faces", versions=2, fresh=True)
