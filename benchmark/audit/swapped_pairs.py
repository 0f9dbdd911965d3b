"""Pairs whose images changed places.

The cue is the direction of the damage: the mean of degraded - target over the severe pixels, as a colour. Spots are
darker and redder than skin, rain is brighter than what it hides; whatever it is, in one set it mostly points one way. A
pair that points the other way is probably swapped. Where pairs are few, have few severe pixels or point everywhere,
nothing can be said, and the answer is None. A set that is swapped as a whole cannot be told from its pairs alone.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmark.audit.degradation import Channels

FEWEST_PAIRS: Final = 5
_AGREEING_COSINE: Final = 0.5
_LEAST_LEVELS: Final = 10.0
"""Noise of both signs leaves a mean of a few levels; spots and rain leave 30 and more."""


def find_swapped(damages: Sequence[Channels | None]) -> list[int] | None:
    """Places of pairs whose damage points against that of the others; None where it cannot be decided."""
    known = [(place, damage / np.linalg.norm(damage)) for place, damage in _directed(damages)]
    if len(known) < FEWEST_PAIRS:
        return None
    usual = np.median([damage for _, damage in known], axis=0)
    size = float(np.linalg.norm(usual))
    cosines = [float(damage @ usual) / size if size else 0.0 for _, damage in known]
    if float(np.median(cosines)) < _AGREEING_COSINE:
        return None
    return [place for (place, _), cosine in zip(known, cosines, strict=True) if cosine < -_AGREEING_COSINE]


def brighter_damage(damages: Sequence[Channels | None]) -> bool:
    """Whether damage is mostly brighter than the target: meant with rain, reversed folders with spots."""
    known = [float(damage.sum()) for _, damage in _directed(damages)]
    return len(known) >= FEWEST_PAIRS and float(np.median(known)) > 0


def _directed(damages: Sequence[Channels | None]) -> list[tuple[int, NDArray[np.float64]]]:
    """Place and damage of the pairs whose damage has a direction."""
    known = [(place, np.asarray(damage)) for place, damage in enumerate(damages) if damage is not None]
    return [(place, damage) for place, damage in known if float(np.linalg.norm(damage)) > _LEAST_LEVELS]
