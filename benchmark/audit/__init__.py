"""What would spoil a comparison before anything is trained: the audit of pairs, and what the degradation consists of.

    files           two folders -> pairs by name, and the images without partner; what a file says of itself
    registration    one pair -> the shift between its images, and whether they show the same picture
    jpeg            one target -> whether its pixels have the 8 x 8 grid of JPEG
    degradation     one pair -> histogram, severe share and energy, gain and offset, regions
    statistics      one pair -> the few numbers that two sources are compared by; all pairs -> them as text
    duplicates      all targets -> groups of equal and of nearly equal ones
    levels, swapped all pairs -> those that differ from the rest: files, PSNR, direction of the damage
    measure         one pair, decoded once -> its measures, or why it cannot be used
    findings        all measures -> what to mend and what to look at
    starter         the usable pairs -> an experiment that runs
    record          all of it as data for `audit.json`

Plain functions over arrays and paths; what they return is frozen. Memory: one pair at a time in each process, and some
two kilobytes a pair for what is compared between pairs.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["spoils", "look"]
"""`spoils`: results on such pairs mislead, or the run refuses them. `look`: may be meant."""


@dataclass(frozen=True)
class Case:
    """One instance of a finding: the pair (or file, or group) and what was seen there."""

    pair: str
    detail: str


@dataclass(frozen=True)
class Finding:
    """One kind of surprise with all its instances; `advice` says what it does and what to do."""

    check: str
    severity: Severity
    title: str
    advice: str
    cases: tuple[Case, ...]
