"""Skin tone as the individual typology angle (ITA): arctan((L* - 50) / b*) in degrees, large on light skin.

Source: Chardon, Cretois, Hourseau, Skin colour typology and suntanning pathways, Int. J. Cosmetic Science 13, 1991.
"""

import numpy as np

from benchmark.synthetic_faces.raster import Field, linear_to_lab, to_linear

_BARE = 0.5
"""From this share of bare skin on a pixel counts as skin."""


def typology_angle(linear: Field) -> float:
    """Return the typology angle in degrees of a colour in linear RGB under D65, (3,)."""
    lightness, _, b = linear_to_lab(linear)
    return float(np.degrees(np.arctan2(lightness - 50, b)))


def typology_angle_of_picture(image: Field, skin: Field) -> float | None:
    """Return the typology angle in degrees of the mean linear light of the skin; None where there is no skin.

    Light and exposure of the picture are taken for skin tone: only pictures taken alike can be compared by it.

    Args:
        image: sRGB in [0, 1], `H W 3`.
        skin: How much of each pixel is bare skin, `H W` in [0, 1].
    """
    bare = image[skin > _BARE]
    return typology_angle(to_linear(bare).mean(axis=0)) if len(bare) else None
