"""Drawn faces under a colour cast: the faces of `synthetic_faces`, a strong gain, and the truth about it."""

import numpy as np
import pytest

from benchmark.data.sources.synthetic_faces import SyntheticFaces
from benchmark.data.sources.tinted_faces import TintedFaces
from benchmark.errors import ComponentError, DataError
from benchmark.registry import Registry

OPTIONS = {"preset": "severe", "count": 3, "size": 64, "seed": 5}


def test_the_faces_are_those_of_synthetic_faces():
    """Name, target and subjects are equal; the degraded image is another one."""
    plain, tinted = SyntheticFaces(**OPTIONS), TintedFaces(**OPTIONS)
    assert tinted.subjects == plain.subjects and len(tinted) == 3
    for index in range(3):
        before, after = plain.read(index), tinted.read(index)
        assert before.name == after.name and np.array_equal(before.target, after.target)
        assert np.abs(before.degraded.astype(int) - after.degraded).mean() > 2


def test_maps_restore_the_target():
    """target = K * degraded + D + degraded up to the sensor's noise and the rounding, which a gain below 1 enlarges."""
    for index in range(3):
        pair = TintedFaces(**OPTIONS).read(index)
        restored = (1 + pair.gain.astype(float)) * pair.degraded + 255 * pair.spots.astype(float)
        assert np.abs(restored - pair.target).mean() < 1.5


def test_each_face_and_channel_has_a_gain_of_its_own():
    """Gains lie in the range, differ from face to face and channel to channel, and the same face has the same again."""
    tinted = TintedFaces(**OPTIONS, gain_range=(0.5, 0.6))
    gains = np.array([1 / (1 + np.median(tinted.read(index).gain.astype(float), axis=(0, 1))) for index in range(3)])
    assert (gains > 0.45).all() and (gains < 0.65).all()
    assert len(np.unique(gains.round(4))) == 9
    assert np.array_equal(tinted.read(1).degraded, TintedFaces(**OPTIONS, gain_range=(0.5, 0.6)).read(1).degraded)


def test_the_fingerprint_follows_the_options():
    """Each option changes it, equal ones do not, and it is not that of the faces without a cast."""
    changes = ({"preset": "heavy"}, {"count": 4}, {"size": 65}, {"seed": 6}, {"gain_range": (0.8, 1.2)})
    prints = {TintedFaces(**{**OPTIONS, **change}).fingerprint for change in changes}
    same = TintedFaces(**OPTIONS).fingerprint
    assert TintedFaces(**OPTIONS).fingerprint == same
    assert len({*prints, same, SyntheticFaces(**OPTIONS).fingerprint}) == 7


def test_bad_options_are_refused():
    """The gain by the component's own message, the others by that of `synthetic_faces`."""
    with pytest.raises(ComponentError, match=r"gain_range is \[2.0, 1.0\]"):
        Registry().create("source", "tinted_faces", {"gain_range": [2, 1]})
    with pytest.raises(DataError, match="count is 0"):
        TintedFaces(count=0)
