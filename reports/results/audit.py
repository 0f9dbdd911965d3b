"""The content of audit.json, which `benchmark.audit` writes."""

from reports.schema import FileModel

THRESHOLD_LEVELS = 30
"""A pixel is severe where a channel differs by more 8-bit levels than this."""
CHANNELS = ("red", "green", "blue")


class Shift(FileModel, extra="ignore"):
    """How far the two images of a pair are displaced."""

    pixels: float


class AuditedPair(FileModel, extra="ignore"):
    """The numbers of one pair in audit.json, in 8-bit levels; None where there is nothing to give."""

    name: str
    split: str
    height: int
    width: int
    psnr_db: float | None
    histogram: tuple[int, ...]
    severe_share: float
    severe_energy: float | None
    gain: tuple[float, float, float]
    offset: tuple[float, float, float]
    regions: tuple[int, ...]
    shift: Shift | None

    @property
    def shift_px(self) -> float | None:
        """Displacement in px."""
        return self.shift.pixels if self.shift else None

    @property
    def percent_severe_energy(self) -> float | None:
        """Share of the squared error in severe pixels, in percent."""
        return None if self.severe_energy is None else 100 * self.severe_energy


class Case(FileModel, extra="ignore"):
    """Where a finding was made."""

    pair: str
    detail: str


class Finding(FileModel, extra="ignore"):
    """One kind of fault, with its cases."""

    title: str
    severity: str
    advice: str
    cases: tuple[Case, ...]


class Audit(FileModel, extra="ignore"):
    """The content of audit.json."""

    name: str
    origins: tuple[str, ...]
    unusable: int
    findings: tuple[Finding, ...]
    pairs: tuple[AuditedPair, ...]
    experiment_yaml: str
