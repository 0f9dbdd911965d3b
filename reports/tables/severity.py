"""Results by severity: the test images in thirds, by how far the degraded image is from its target.

Records hold no label of severity, so the PSNR of doing nothing stands for it: it is measured in the same way on any
data, and is the same for every row. Other metrics would not do: doing nothing harms nothing, whatever the damage.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric
from reports.results import Results
from reports.results.summary import IDENTITY, Summary, by_image, image_scores, ranked

_PSNR = metric("psnr")
_NAMES = ("mild", "medium", "severe")
_FEWEST_IMAGES = 6
"""Below two images a third, a mean over a third says nothing."""


def thirds(untouched: Mapping[str, float]) -> tuple[tuple[str, ...], ...]:
    """The images from mild to severe in three parts of about equal size; empty below six images, or if all are equal.

    Args: untouched: image -> PSNR of the degraded image against its target.
    """
    if len(untouched) < _FEWEST_IMAGES or len(set(untouched.values())) == 1:
        return ()
    order = sorted(untouched, key=lambda image: (-untouched[image], image))
    cuts = [round(part * len(order) / 3) for part in range(4)]
    return tuple(tuple(order[cuts[part] : cuts[part + 1]]) for part in range(3))


def by_severity(rows: Sequence[Summary], results: Results, primary: Metric) -> Grid | None:
    """The primary metric of every finished row on each third; None where there are no thirds."""
    scores = image_scores(results, primary.name)
    untouched = by_image(image_scores(results, _PSNR.name), IDENTITY, None)
    parts = thirds(untouched)
    if not parts:
        return None
    trained = ranked([row for row in rows if not row.is_baseline], primary)
    floors = ranked([row for row in rows if row.is_baseline], primary)
    values = {row.row: [by_image(scores, row.row, seed) for seed in row.seeds] for row in (*trained, *floors)}
    return Grid(
        name="severity",
        caption=f"{primary.label} by severity of the damage ({_PSNR.label} untouched), mean over images and seeds.",
        columns=(ROW_COLUMN, *_columns(parts, untouched, primary)),
        lines=tuple(_line(row, values[row.row], parts, primary) for row in trained),
        apart=tuple(_line(row, values[row.row], parts, primary) for row in floors),
        notes=(
            f"Severity is told by {_PSNR.label} of the degraded image itself (row {IDENTITY}): the test images in "
            "three parts of about equal size.",
        ),
        sortable=True,
    )


def _columns(parts: Sequence[Sequence[str]], untouched: Mapping[str, float], primary: Metric) -> tuple[Column, ...]:
    columns: list[Column] = []
    for name, part in zip(_NAMES, parts, strict=True):
        ends = sorted(untouched[image] for image in part)
        between = f"{text.number(ends[0], _PSNR.decimals)} to {text.number(ends[-1], _PSNR.decimals)}"
        hint = f"{text.count(len(part), 'image')}; untouched {text.with_unit(between, _PSNR.unit)} {_PSNR.label}"
        columns.append(Column(f"{primary.name}_{name}", name, primary.unit, hint=hint))
    return tuple(columns)


def _line(row: Summary, values: Sequence[Mapping[str, float]], parts: Sequence[Sequence[str]], primary: Metric) -> Line:
    return (plain(row.row), *(_cell(values, part, primary) for part in parts))


def _cell(values: Sequence[Mapping[str, float]], part: Sequence[str], primary: Metric) -> Cell:
    found = [of_seed[image] for of_seed in values for image in part if image in of_seed]
    mean = fmean(found) if found else None
    return Cell(mean, text.number(mean, primary.decimals))
