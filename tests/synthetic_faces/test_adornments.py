"""What faces wear: each thing shows, hides the skin below it, and leaves the rest of the face as it is."""

from dataclasses import replace

import numpy as np

from benchmark.synthetic_faces import draw_portrait
from benchmark.synthetic_faces.adornments import paint_adornments
from benchmark.synthetic_faces.attributes import Earrings, Glasses, Pose
from benchmark.synthetic_faces.geometry import picture_frame
from benchmark.synthetic_faces.population import choose_attributes
from benchmark.synthetic_faces.raster import composite

SIZE_PX = 400
STRAIGHT = Pose(half_width=0.3, centre_x=0.5, centre_y=0.5, tilt=0, yaw=0)
BLACK, GREEN = np.zeros(3, np.float32), np.array([0.02, 0.5, 0.02], np.float32)
GLASSES = Glasses(BLACK, 0.32, 0.22, power=4, thickness=0.03, down=0.02, reflection=0.0, gloss=0.0)
BARE = {"mouth_opening": 0.0, "loose_hairs": 0, "moles": (), "glasses": None, "earrings": None}


def painted(**worn):
    """The adornments of a person over a white picture, `3 H W`, and the frame."""
    person = choose_attributes(np.random.default_rng(0))
    person = replace(person, pose=STRAIGHT, adornments=replace(person.adornments, **{**BARE, **worn}))
    frame = picture_frame(person.pose, SIZE_PX)
    layers = paint_adornments(np.random.default_rng(1), frame, person)
    return composite(np.ones((3, SIZE_PX, SIZE_PX), np.float32), *layers), frame, person


def changed(picture):
    """Where the picture is no longer white, `H W`."""
    return np.abs(picture - 1).max(axis=0) > 0.2


def test_a_bare_face_is_left_alone():
    """Nobody who wears nothing gets anything."""
    assert not changed(painted()[0]).any()


def test_rims_go_around_both_eyes_and_leave_them_free():
    """Glasses are dark on the rims; the middle of each eye stays to be seen."""
    picture, frame, person = painted(glasses=GLASSES)
    for side in (-1, 1):
        u = side * 1.04 * person.shape.eye_u + np.array([0.0, 0.0, 0.32 * side])
        v = person.shape.eye_v + 0.02 + np.array([0.0, 0.22, 0.0])
        columns, rows = (np.rint(values).astype(int) for values in frame.pixels(u, v))
        centre, below, outer = (picture[:, row, column].max() for row, column in zip(rows, columns, strict=True))
        assert centre > 0.9 and below < 0.4 and outer < 0.4


def test_an_open_mouth_shows_teeth_over_the_dark():
    """Teeth are bright and lie above the dark of the mouth; a wider mouth shows more of both."""
    shown = []
    for opening in (0.11, 0.16):
        picture, frame, person = painted(mouth_opening=opening, tooth_colour=np.full(3, 0.7, np.float32))
        column, middle = (round(float(x)) for x in frame.pixels(np.array(0.0), np.array(person.shape.mouth_v)))
        reach = round(opening * frame.face_px)
        mouth = picture[:, middle - reach : middle + reach, column].mean(axis=0)
        dark = int(mouth.argmin())
        assert mouth[dark] < 0.3 and 0.5 < mouth[dark - round(0.4 * reach)] < 0.8
        shown.append(changed(picture).sum())
    assert shown[1] > 1.3 * shown[0]


def test_earrings_hang_beside_the_face_on_both_sides():
    """They have their colour, and none is on the face."""
    picture, frame, _ = painted(earrings=Earrings(GREEN, radius=0.06, drop=0.1, is_hoop=False))
    shown = changed(picture)
    assert shown[:, : SIZE_PX // 2].any() and shown[:, SIZE_PX // 2 :].any()
    assert not shown[np.abs(frame.u) < 0.8].any()
    red, green, _ = picture[:, shown].mean(axis=1)
    assert green > red


def test_loose_hairs_are_thin_dark_lines():
    """More hairs cover more, and even many cover little."""
    few, many = (changed(painted(loose_hairs=count)[0]).mean() for count in (2, 15))
    assert 0 < few < many < 0.1


def test_no_damage_is_drawn_on_what_a_face_wears():
    """Bare skin ends at the rims of glasses: a portrait has no skin where its rims are."""
    seed = next(seed for seed in range(100) if choose_attributes(np.random.default_rng(seed)).adornments.glasses)
    person = choose_attributes(np.random.default_rng(seed))
    portrait = draw_portrait(np.random.default_rng(seed), SIZE_PX)
    frame = picture_frame(person.pose, SIZE_PX)
    rims = paint_adornments(np.random.default_rng(1), frame, replace(person, adornments=only_glasses(person)))[-1]
    assert (rims.cover > 0.9).sum() > 100
    assert portrait.skin[rims.window][rims.cover > 0.9].max() == 0


def only_glasses(person):
    """The adornments of a person without all but the glasses."""
    return replace(person.adornments, **{**BARE, "glasses": person.adornments.glasses})
