"""Audit of pairs: what would spoil a comparison before anything is trained, and what the degradation consists of.

    measurements        one pair, decoded once -> its measurements, or why it is unusable
    registration        one pair -> the shift between its images, and whether they show the same picture
    degradation         one pair -> histogram, severe share and energy, gain and offset, regions; a set -> a few numbers
    duplicates          all targets -> groups of equal and of nearly equal ones
    outliers            all pairs -> those that differ from the rest: PSNR, files, direction of the damage
    checks              all measurements -> errors and warnings, and everything as data for `audit.json`
    starter_experiment  the usable pairs -> train, val and test
    starter_recipe      what the pairs are like -> an experiment that suits them

Plain functions over arrays and paths; what they return is frozen. Memory: one pair at a time in each process, and about
two kilobytes a pair for comparisons between pairs.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
"""`error`: results on such pairs mislead, or the run refuses them. `warning`: may be intended."""


@dataclass(frozen=True)
class Case:
    """One instance of a finding: the pair (or file, or group) and the detail."""

    pair: str
    detail: str


@dataclass(frozen=True)
class Finding:
    """One kind of problem with all its instances; `advice` says what it causes and what to do."""

    check: str
    severity: Severity
    title: str
    advice: str
    cases: tuple[Case, ...]
