"""How the rows do on the test sets beside `test`, such as photographs, against doing nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from reports.metrics import IMAGE_METRICS, TEST
from reports.results import Results
from reports.results.summary import IDENTITY, ImageScores, Summary, image_scores
from reports.schema import PHOTOGRAPHS

METRICS = ("harm", "psnr", "psnr_spots", "psnr_background")
NOTICEABLE_HARM_LEVELS = 1.0
"""Mean harm from which on a row counts as worse for the background whatever its PSNR: a step of an 8-bit image."""
_NOTICEABLE_LOSS_DB = 0.005
"""What is less is shown as 0.00 dB."""


@dataclass(frozen=True)
class TestedRow:
    """The means of a row over seeds and images, and how much better they are than those of doing nothing, by metric."""

    __test__ = False  # for pytest, which collects classes whose name begins like this one
    row: str
    is_baseline: bool
    means: Mapping[str, float]
    gains: Mapping[str, float]
    """Negative where the row is worse. Empty where row `identity` was not tested on these images."""

    @property
    def loses(self) -> bool:
        """Whether the whole image is worse than if nothing had been done."""
        return self.gains.get("psnr", 0.0) < -_NOTICEABLE_LOSS_DB

    @property
    def worsens_background(self) -> bool:
        """Whether the background is worse than if nothing had been done, or got noticeable errors."""
        is_worse = self.gains.get("psnr_background", 0.0) < -_NOTICEABLE_LOSS_DB
        return is_worse or self.means.get("harm", 0.0) >= NOTICEABLE_HARM_LEVELS


@dataclass(frozen=True)
class FurtherTest:
    """A test set and its rows: trained ones by PSNR, the best first, then baselines."""

    name: str
    images: tuple[str, ...]
    """Those that all rows were tested on: the packaged portraits differ between machines."""
    rows: tuple[TestedRow, ...]
    lacking: tuple[str, ...]
    """Finished rows that were not tested on it: their records are older, or they name other images."""

    @property
    def trained(self) -> tuple[TestedRow, ...]:
        """The rows that are no baselines."""
        return tuple(row for row in self.rows if not row.is_baseline)


def further_tests(results: Results, rows: Mapping[str, Summary]) -> tuple[FurtherTest, ...]:
    """Return the test sets beside `test` that any finished record has scores on, photographs first."""
    names = {split for record in results.finished for split in record.scores} - {TEST, "val"}
    ordered = sorted(names, key=lambda name: (name != PHOTOGRAPHS, name))
    tests = (_further_test(name, results, rows) for name in ordered)
    return tuple(test for test in tests if test.rows)


def _further_test(name: str, results: Results, rows: Mapping[str, Summary]) -> FurtherTest:
    scores = {metric: _on_same_images(image_scores(results, f"{metric}@{name}")) for metric in METRICS}
    means: dict[str, dict[str, float]] = {row: {} for row in rows}
    for metric, by_record in scores.items():
        images = _shared_images(by_record)
        for row in rows:
            seeds = [values for (other, _), values in by_record.items() if other == row]
            if seeds and images:
                means[row][metric] = fmean(fmean(values[image] for image in images) for values in seeds)
    nothing = means.get(IDENTITY, {})
    tested = [
        TestedRow(row, rows[row].is_baseline, values, _gains(values, nothing))
        for row, values in means.items()
        if values
    ]
    return FurtherTest(
        name=name,
        images=_shared_images(scores["psnr"]),
        rows=tuple(sorted(tested, key=lambda row: (row.is_baseline, -row.means.get("psnr", 0.0)))),
        lacking=tuple(row for row, values in means.items() if not values and rows[row].finished),
    )


def _on_same_images(scores: ImageScores) -> ImageScores:
    """Leave out records that share no image with the first one, that of doing nothing where there is one."""
    first = next((key for key in scores if key[0] == IDENTITY), next(iter(scores), None))
    return {key: values for key, values in scores.items() if first and values.keys() & scores[first].keys()}


def _shared_images(scores: ImageScores) -> tuple[str, ...]:
    """Return the images that every record has a value of."""
    by_record = [set(values) for values in scores.values()]
    return tuple(sorted(set.intersection(*by_record))) if by_record else ()


def _gains(means: Mapping[str, float], nothing: Mapping[str, float]) -> dict[str, float]:
    return {
        name: IMAGE_METRICS[name].gain(value, nothing[name])
        for name, value in means.items()
        if name in nothing and name != "harm"  # doing nothing does none
    }


def worst(rows: Sequence[TestedRow], metric: str) -> TestedRow | None:
    """Return the row with the greatest loss against doing nothing; None where none is known."""
    return min((row for row in rows if metric in row.gains), key=lambda row: row.gains[metric], default=None)
