"""Equal and nearly equal pictures, and traces of JPEG."""

import io

import numpy as np
import pytest
from PIL import Image

from benchmark.audit.duplicates import MOST_BITS, are_alike, find_duplicates, fingerprint
from benchmark.audit.measurements import has_block_grid
from benchmark.data.sources.synthetic_faces import SyntheticFaces


@pytest.fixture(scope="module")
def faces() -> list[np.ndarray]:
    """Drawn faces of 128 px, without the corner in which the blocks of the camera's JPEG begin."""
    source = SyntheticFaces(preset="contest", count=14, size=134, seed=21)
    return [source.read(index).target[3:-3, 3:-3] for index in range(len(source))]


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


COPIES = {
    "saved as JPEG": lambda image: jpeg(image, 30),
    "smaller": lambda image: np.asarray(Image.fromarray(image).resize((96, 96))),
    "larger": lambda image: np.asarray(Image.fromarray(image).resize((200, 200))),
    "brighter": lambda image: np.uint8(np.clip(image * 1.15 + 8, 0, 255)),
    "darker": lambda image: np.uint8(image * 0.8),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES.keys())
def test_copies_are_found(faces: list[np.ndarray], change) -> None:
    """A picture that was saved again, resized, brightened or darkened is known, and is not called exact."""
    images = [*faces[:5], *(change(face) for face in faces[:5])]
    found = find_duplicates([fingerprint(image) for image in images])
    assert [group.members for group in found] == [(place, place + 5) for place in range(5)]
    assert not any(group.exact for group in found)


@pytest.mark.parametrize("change", [lambda image: image, *COPIES.values()], ids=["as it is", *COPIES])
def test_mirror_images_are_found(faces: list[np.ndarray], change) -> None:
    """Also of a picture that was saved again, resized, brightened or darkened; a copy of the mirror image joins in."""
    images = [*faces[:5], *(change(face[:, ::-1]) for face in faces[:5]), faces[0][:, ::-1]]
    groups = find_duplicates([fingerprint(image) for image in images])
    assert [group.members for group in groups] == [(0, 5, 10), *((place, place + 5) for place in range(1, 5))]
    assert all(group.mirrored and not group.exact for group in groups)


def test_symmetric_copies_are_not_called_mirrored(faces: list[np.ndarray]) -> None:
    """A picture that is its own mirror image, twice, is a plain copy."""
    symmetric = np.concatenate([faces[0], faces[0][:, ::-1]], axis=1)
    (group,) = find_duplicates([fingerprint(symmetric), fingerprint(symmetric)])
    assert group.exact and not group.mirrored


def test_different_faces_are_not_copies(faces: list[np.ndarray]) -> None:
    """Drawn faces, alike in pose, differ in more bits than the threshold allows."""
    prints = [fingerprint(face) for face in faces]
    assert find_duplicates(prints) == []
    pairs = [(a, b) for i, a in enumerate(prints) for b in prints[:i]]
    assert min((a.phash ^ b.phash).bit_count() for a, b in pairs) > MOST_BITS
    assert not any(are_alike(a, b, mirrored=mirrored) for a, b in pairs for mirrored in (False, True))


def test_equal_pixels_make_one_group(faces: list[np.ndarray]) -> None:
    """Three times the same picture is one exact group; with a near copy more it is no longer exact."""
    prints = [fingerprint(image) for image in (faces[0], faces[1], faces[0], faces[0].copy())]
    (group,) = find_duplicates(prints)
    assert (group.members, group.exact) == ((0, 2, 3), True)
    (group,) = find_duplicates([*prints, fingerprint(jpeg(faces[0], 60))])
    assert (group.members, group.exact) == ((0, 2, 3, 4), False)


def test_flat_pictures_are_compared_by_their_pixels() -> None:
    """Pictures of one colour all look alike to a hash: only equal ones are copies."""
    greys = [np.full((32, 32, 3), level, np.uint8) for level in (10, 90, 90, 200)]
    assert [group.members for group in find_duplicates([fingerprint(grey) for grey in greys])] == [(1, 2)]


def test_blocks_of_jpeg_are_seen_in_pixels(faces: list[np.ndarray]) -> None:
    """At quality 80 nearly all pictures show the grid of blocks; as drawn almost none does, nor does a cropped one."""
    saved = [jpeg(face, 80) for face in faces]
    assert sum(map(has_block_grid, saved)) >= 12
    assert sum(map(has_block_grid, faces)) <= 1
    assert sum(has_block_grid(image[3:, 3:]) for image in saved) <= 1
    assert not has_block_grid(saved[0][:63])
