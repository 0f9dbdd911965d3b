"""Skin tone: the typology angle of drawn faces and of pictures."""

import numpy as np
import pytest
from skimage.color import lab2rgb

from benchmark.synthetic_faces.population import choose_complexion
from benchmark.synthetic_faces.raster import lab_to_linear
from benchmark.synthetic_faces.skin_tone import typology_angle, typology_angle_of_picture
from reports.tables.skin_tones import GROUPS, group_of


@pytest.mark.parametrize(("lab", "angle"), [((77, 10, 15), 60.9), ((57, 14, 21), 18.4), ((31, 11, 13), -55.6)])
def test_the_angle_is_that_of_lightness_and_yellow(lab, angle):
    """arctan((L* - 50) / b*) of colours given in CIE Lab, through linear light and back."""
    assert typology_angle(lab_to_linear(lab)) == pytest.approx(np.degrees(np.arctan2(lab[0] - 50, lab[2])), abs=0.2)
    assert typology_angle(lab_to_linear(lab)) == pytest.approx(angle, abs=0.2)


def test_drawn_faces_have_every_tone_and_the_angle_follows_it():
    """Of 300 people each group has some, and people of tone 0 are lighter than those of tone 5."""
    people = [choose_complexion(np.random.default_rng(seed)) for seed in range(300)]
    assert {group_of(person.skin_tone) for person in people} == set(GROUPS)
    tones, angles = [person.tone for person in people], [person.skin_tone for person in people]
    assert np.corrcoef(tones, angles)[0, 1] < -0.95


def test_the_angle_of_a_picture_is_that_of_its_skin():
    """What is not skin does not count; a picture without skin has none."""
    picture = np.zeros((20, 20, 3), np.float32)
    picture[5:10, 5:10] = lab2rgb(np.array([65.0, 13, 20]))
    skin = np.zeros((20, 20), np.float32)
    assert typology_angle_of_picture(picture, skin) is None
    skin[5:10, 5:10] = 1
    assert typology_angle_of_picture(picture, skin) == pytest.approx(np.degrees(np.arctan2(15, 20)), abs=0.2)
