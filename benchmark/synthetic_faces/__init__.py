"""Procedural faces: clean portraits drawn without a download, and their damage with exact truth.

    draw_portrait(rng, size)        -> Portrait: picture, bare skin, scale, skin tone
    degrade(portrait, preset, rng)  -> DegradedPortrait: degraded, target, gain K, spots D
    PRESETS                         contest, heavy, severe

Arrays in, arrays out. `portrait` paints a clean picture, `degrade` damages it. Lengths are in millimetres or in
face units (half the width of a face, 70 mm), so a face looks the same at every size.
"""

from benchmark.synthetic_faces.degrade import DegradedPortrait, degrade
from benchmark.synthetic_faces.lesions import PRESETS, Preset, PresetName
from benchmark.synthetic_faces.portrait import Portrait, draw_portrait

__all__ = ["PRESETS", "DegradedPortrait", "Portrait", "Preset", "PresetName", "degrade", "draw_portrait"]
