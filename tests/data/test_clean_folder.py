"""Clean faces of a folder, and the skin that is found in them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.data.sources.clean_folder import CleanFolder
from benchmark.errors import DataError
from benchmark.synthetic_faces import PRESETS, draw_portrait
from benchmark.synthetic_faces.population import choose_attributes
from benchmark.synthetic_faces.skin_segmentation import aligned_scale, find_skin, scale_of_mask

EYES_DOWN = 0.031  # how far below the middle of an FFHQ picture the origin of a drawn face is
HALF_WIDTH = 0.255


def aligned_face(seed: int, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """A drawn face framed as FFHQ frames one, float `H W 3`, and its bare skin, `H W`, without the neck."""
    pose = choose_attributes(np.random.default_rng(seed)).pose
    portrait = draw_portrait(np.random.default_rng(seed), size)
    side = round(size * pose.half_width / HALF_WIDTH)
    left, top = round(side / 2 - pose.centre_x * size), round(side * (0.5 + EYES_DOWN) - pose.centre_y * size)
    pad = [(max(0, before), max(0, side - size - before)) for before in (top, left)]
    return np.pad(portrait.image, [*pad, (0, 0)], mode="edge"), np.pad(portrait.skin, pad)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three faces as a user has them, one in a sub-folder, with `splits.json`."""
    folder = tmp_path_factory.mktemp("clean")
    (folder / "more faces").mkdir()
    for seed, name in enumerate(("anna.png", "björn's.png", "more faces/c <3>.png")):
        Image.fromarray(np.uint8(255 * aligned_face(seed)[0])).save(folder / name)
    splits = {"train": ["anna.png", "more faces/c <3>.png"], "test": ["björn's.png"]}
    (folder / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the faces that a test may change."""
    return Path(shutil.copytree(drawn, tmp_path / "faces"))


def test_names_and_order(drawn: Path) -> None:
    """All faces come with their first damage, then all with their second."""
    source = CleanFolder(drawn, versions=2, size=64)
    assert len(source) == 6
    assert [source.read(index).name for index in range(6)] == [
        f"{face}__v{version}" for version in (0, 1) for face in ("anna", "björn's", "more faces/c <3>")
    ]


def test_a_pair_is_complete_and_its_target_is_the_picture(drawn: Path) -> None:
    """The target has the pixels of the file; the maps restore it from the degraded image, within sensor noise."""
    pair = CleanFolder(drawn, "severe").read(0)
    np.testing.assert_array_equal(pair.target, np.asarray(Image.open(drawn / "anna.png")))
    assert pair.gain is not None and pair.spots is not None
    assert pair.gain.shape == pair.spots.shape == pair.target.shape and pair.gain.dtype == np.float16
    degraded = pair.degraded / 255
    restored = pair.gain.astype(float) * degraded + pair.spots.astype(float) + degraded
    assert np.mean((restored - pair.target / 255) ** 2) < 10**-4.5 < np.mean((degraded - pair.target / 255) ** 2)


def test_the_damage_is_that_of_seed_face_and_version(drawn: Path, folder: Path) -> None:
    """The same wherever the folder is and whatever else is in it; other for another seed or version."""
    (folder / "anna.png").unlink()
    fewer, again = CleanFolder(folder, size=64), CleanFolder(drawn, size=64, versions=2)
    np.testing.assert_array_equal(fewer.read(0).degraded, again.read(1).degraded)
    others = [CleanFolder(drawn, size=64, seed=1).read(1), again.read(4)]
    assert len({pair.degraded.tobytes() for pair in (again.read(1), *others)}) == 3
    assert len({pair.target.tobytes() for pair in (again.read(1), *others)}) == 1


def test_splits_share_no_face(drawn: Path) -> None:
    """A split has the faces that splits.json lists; the subjects of splits are apart, those of one folder are not."""
    train, test, everything = (CleanFolder(drawn, split=split) for split in ("train", "test", None))
    assert (len(train), len(test), len(everything)) == (2, 1, 3)
    assert not train.subjects & test.subjects
    assert train.subjects | test.subjects == everything.subjects
    assert CleanFolder(drawn, "heavy", versions=3, seed=9).subjects == everything.subjects


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (None, r"splits\.json: no such file; split 'train' needs it"),
        ("{", "expected JSON like"),
        ('["anna.png"]', "expected JSON like"),
        ('{"trian": ["anna.png"], "test": []}', "no split 'train'; did you mean 'trian'"),
        ('{"a": [], "b": []}', "no split 'train'; known: a, b"),
        ('{"train": []}', "'train' must be a list of file names, at least one"),
        ('{"train": "anna.png"}', "'train' must be a list of file names"),
        ('{"train": ["anna.jpg"]}', "'train' lists 'anna.jpg', which is no image of the folder"),
    ],
)
def test_bad_split_files_are_errors(folder: Path, splits: str | None, message: str) -> None:
    """The message names the file, and what is wrong in it."""
    (folder / "splits.json").unlink()
    if splits is not None:
        (folder / "splits.json").write_text(splits)
    with pytest.raises(DataError, match=message):
        CleanFolder(folder, split="train")


@pytest.mark.parametrize(("size", "sides"), [(None, (180, 90)), (64, (128, 64)), (200, (180, 90))])
def test_pictures_are_reduced_never_enlarged(tmp_path: Path, size: int | None, sides: tuple[int, int]) -> None:
    """`size` is that of the shorter side, the aspect is kept."""
    face = Image.fromarray(np.uint8(255 * aligned_face(0)[0])).resize((90, 90))
    tall = Image.new("RGB", (90, 180), "gray")
    tall.paste(face, (0, 45))
    tall.save(tmp_path / "tall.png")
    pair = CleanFolder(tmp_path, size=size).read(0)
    assert pair.target.shape == pair.degraded.shape == (*sides, 3)


def test_the_fingerprint_follows_files_and_options(folder: Path) -> None:
    """Equal options and files, equal fingerprint; each option and another picture change it."""
    (folder / "masks").mkdir()
    source = CleanFolder(folder, split="test")
    assert source.fingerprint == CleanFolder(folder, split="test").fingerprint
    options = [{"split": "train"}, {"preset": "heavy"}, {"versions": 2}, {"size": 64}, {"seed": 1}]
    fingerprints = {CleanFolder(folder, **{"split": "test", **option}).fingerprint for option in options}
    before = source.fingerprint
    Image.new("RGB", (80, 80), "red").save(folder / "björn's.png")
    assert len({*fingerprints, before, source.fingerprint}) == 7


def test_masks_say_where_the_skin_is(folder: Path, tmp_path: Path) -> None:
    """Spots are where the mask is white and nowhere else, at any size of the mask; the mask is in the fingerprint."""
    for name in ("anna", "björn's", "more faces/c <3>"):
        mask = tmp_path / f"masks/{name}.bmp"
        mask.parent.mkdir(parents=True, exist_ok=True)
        stripe = np.zeros((60, 60), np.uint8)
        stripe[:, 20:40] = 255
        Image.fromarray(stripe).save(mask)
    source = CleanFolder(folder, "severe", mask_folder=tmp_path / "masks")
    for index in range(3):
        spots = np.abs(source.read(index).spots).max((0, 2))
        third = len(spots) // 3
        assert spots[third:-third].max() > 0.05
        assert not spots[: third - 3].any() and not spots[3 - third :].any()
    before = source.fingerprint
    Image.new("L", (60, 60), 255).save(tmp_path / "masks/anna.bmp")
    assert source.fingerprint != before != CleanFolder(folder, "severe").fingerprint


def test_a_mask_of_the_picture_as_it_was_fits_the_reduced_one(tmp_path: Path) -> None:
    """A picture of odd sides is reduced with rounding; its mask of full size has its shape all the same."""
    rng = np.random.default_rng(0)
    for kind, pixels in (("faces", rng.integers(90, 200, (403, 302, 3))), ("masks", np.full((403, 302, 3), 255))):
        (tmp_path / kind).mkdir()
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / kind / "anna.png")
    source = CleanFolder(tmp_path / "faces", mask_folder=tmp_path / "masks", size=64)
    assert source.read(0).target.shape == (85, 64, 3)


def test_bad_masks_are_errors(folder: Path, tmp_path: Path) -> None:
    """A missing mask, one of another shape, one without skin: each is named."""
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.new("L", (50, 50)).save(masks / "anna.png")
    with pytest.raises(DataError, match='masks: no mask "björn\'s" for '):
        CleanFolder(folder, mask_folder=masks)
    for name in ("björn's.png", "more faces/c <3>.png"):
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"anna\.png: the mask shows no skin; skin is white"):
        CleanFolder(folder, mask_folder=masks).read(0)
    Image.new("L", (50, 80), "white").save(masks / "anna.png")
    with pytest.raises(DataError, match=r"anna\.png: the mask is 50x80 pixels, its picture \d+x\d+"):
        CleanFolder(folder, mask_folder=masks).read(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "mild"}, "contest, heavy, severe"),
        ({"versions": 0}, "from 1 to 1,000,000"),
        ({"size": 63}, "from 64 to 4096"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_bad_options_are_refused(drawn: Path, options: dict, message: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(DataError, match=message):
        CleanFolder(drawn, **options)


@pytest.mark.parametrize("index", [-1, 6])
def test_index_outside_is_refused(drawn: Path, index: int) -> None:
    """There is no pair before the first or after the last."""
    with pytest.raises(DataError, match="there are 6"):
        CleanFolder(drawn, versions=2).read(index)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.new("RGB", (1, 1)), "1x1 pixels; a face needs at least 64"),
        (Image.new("RGB", (500, 63)), "500x63 pixels"),
        (Image.new("L", (96, 96), 180), "no skin where a face aligned as in FFHQ has it"),
        (Image.new("RGB", (96, 96), "blue"), "take it out or give a mask_folder"),
        (Image.new("RGB", (96, 96)), "no skin"),
    ],
    ids=["one pixel", "flat", "grey", "blue", "black"],
)
def test_pictures_that_are_no_faces_are_refused(tmp_path: Path, picture: Image.Image, message: str) -> None:
    """The file is named, with what to do."""
    picture.save(tmp_path / "odd.png")
    with pytest.raises(DataError, match=rf"odd\.png: .*{message}"):
        CleanFolder(tmp_path).read(0)


@pytest.mark.parametrize("seed", range(6))
def test_skin_is_found_on_drawn_faces_of_all_tones(seed: int) -> None:
    """Of what is found above the chin most is bare skin, not eyes, lips, hair or backdrop; and most is found."""
    image, truth = aligned_face(seed, 160)
    found = find_skin(image)
    assert found is not None and found.shape == truth.shape and found.min() >= 0 and found.max() <= 1
    chin = round(len(truth) * (0.5 + EYES_DOWN + 0.9 * HALF_WIDTH))
    assert (found * (truth > 0.3))[:chin].sum() > 0.9 * found[:chin].sum()
    assert (found * truth)[:chin].sum() > 0.55 * truth[:chin].sum()
    for across, down in ((0.375, 0.48), (0.625, 0.48), (0.5, 0.71)):  # eyes and mouth
        row, column = round(down * len(found)), round(across * len(found))
        assert not found[row - 3 : row + 4, column - 3 : column + 4].any()


@given(
    shape=st.tuples(st.integers(64, 100), st.integers(64, 300)),
    seed=st.integers(0, 99),
    tint=st.tuples(*[st.floats(0, 1)] * 3),
)
@settings(max_examples=20, deadline=None)
def test_any_picture_has_valid_skin_or_none(
    shape: tuple[int, int], seed: int, tint: tuple[float, float, float]
) -> None:
    """Whatever a picture shows, what is found has its size and lies in [0, 1]."""
    noise = np.random.default_rng(seed).random((*shape, 3), np.float32)
    found = find_skin(np.float32(0.1) * noise + np.float32(0.9) * np.array(tint, np.float32))
    if found is not None:
        assert found.shape == shape and found.min() >= 0 and found.max() <= 1


def test_scale_of_a_face() -> None:
    """Half an aligned face is 70 mm and 0.255 of the shorter side; a mask's width is that of the face."""
    assert aligned_scale(1024, 2048) == pytest.approx(0.255 * 1024 / 70)
    mask = np.zeros((50, 300), np.float32)
    mask[10:40, 80:220] = 1
    mask[0, :] = 1  # thin parts do not count
    assert scale_of_mask(mask) == pytest.approx(1)


def test_presets_are_those_of_drawn_faces(drawn: Path) -> None:
    """Every preset can be used, and heavier ones do more damage to the same faces."""
    errors = []
    for preset in PRESETS:
        pairs = [CleanFolder(drawn, preset, size=96, versions=2).read(index) for index in range(6)]
        errors.append(np.mean([(pair.degraded.astype(float) - pair.target) ** 2 for pair in pairs]))
    assert errors == sorted(errors)
