"""How much damage: three presets, tuned by hand.

| preset | meant to match | input PSNR, median |
|---|---|---|
| contest | 8 inputs of a retouching contest (specks, scratches and patches on StyleGAN faces) | 41.7 dB |
| heavy | raw pairs of FFHQR-Seq | 37.5 dB |
| severe | raw pairs of MRFV, real video | 32.1 dB |

Lesions per face and their sizes follow the annotations of ACNE04 (log-normal radius, sigma 0.54).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

PresetName = Literal["contest", "heavy", "severe"]


@dataclass(frozen=True)
class Preset:
    """Amounts of damage.

    Lesions on a fully visible face are log-normal (`lesions_median`, `lesions_sigma`); `radius_scale` and
    `density_scale` multiply the radii and optical densities of the table of lesions; `clusters` is the smallest and
    largest number of rashes; `patch_probability` that of diffuse patches; `gain_mean` and `gain_spread` belong to the
    global gain K; `noise_levels` is the sensor's noise in 8-bit levels.
    """

    lesions_median: float
    lesions_sigma: float
    radius_scale: float
    density_scale: float
    clusters: tuple[int, int]
    patch_probability: float
    gain_mean: float
    gain_spread: float
    noise_levels: float


PRESETS: Mapping[PresetName, Preset] = MappingProxyType(
    {
        "contest": Preset(30, 0.45, 0.85, 1.42, (1, 6), 0.95, 0.006, 0.003, 0.9),
        "heavy": Preset(70, 0.60, 1.40, 1.30, (1, 5), 0.80, 0.004, 0.011, 0.8),
        "severe": Preset(160, 0.45, 1.70, 1.62, (3, 8), 0.90, 0.004, 0.018, 1.0),
    }
)
