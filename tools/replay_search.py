"""Compare samplers and pruners on a recorded grid, without training: the figure and the table of docs/search.md.

    python tools/replay_search.py            # replay the grid, write records, figure and table; some minutes
    python tools/replay_search.py --figure   # figure and table from the records of the last replay
    python tools/replay_search.py --check    # exit with 1 where figure or table are not what the records say

The grid is the search of experiments/search_grid_cpu.yaml, which trained every combination of three learning rates.
Repetitions differ in the seed of the sampler.
"""

import argparse
import csv
import io
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import optuna
from recorded_grid import Grid, ReplayedTrial, read_grid, replay
from scipy import stats

from benchmark.experiment.pruner_settings import NoPruner, Pruner, SuccessiveHalving
from benchmark.experiment.search_settings import Cmaes, Gp, Random, Sampler, Tpe
from reports import text
from reports.figures import svg
from reports.figures.axes import Area, across, heading, panel_height, up
from reports.figures.drawing import Drawing, RenderedFigure, Sketch, line_key
from reports.figures.scales import Scale
from reports.file_access import write_bytes

ROOT = Path(__file__).parents[1]
GRID = ROOT / "reports/published/search_grid_cpu"
RECORDS = ROOT / "reports/published/search_replay.csv"
PAGE = ROOT / "docs/search.md"
FIGURE = ROOT / "docs/search_replay.svg"
TRIALS = 40
REPETITIONS: Mapping[str, int] = {"random": 50, "tpe": 50, "gp": 10, "cmaes": 50}
SAMPLERS: Mapping[str, Sampler] = {"random": Random(), "tpe": Tpe(), "gp": Gp(), "cmaes": Cmaes()}
PRUNERS: Mapping[str, Pruner] = {"none": NoPruner(), "successive_halving": SuccessiveHalving()}
BUDGETS = tuple(range(100, 601, 50))
"""Training steps after which regret is read."""
_SHOWN_TRIALS, _SHOWN_STEPS = (5, 10, 20, 40), 600
_TABLE = re.compile(r"(<!-- replay -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_PANEL = 316


@dataclass(frozen=True)
class Regret:
    """Mean regret over repetitions with its 95 % interval, after some trials or some steps."""

    sampler: str
    pruner: str
    unit: str
    """`trials`, `steps`, or `shared steps`."""
    at: int
    mean: float
    low: float
    high: float
    repetitions: int


def regrets(grid: Grid, sampler: str, pruner: str, repetitions: int) -> list[Regret]:
    """Return the mean regret of a sampler with a pruner after each trial, and after each budget of steps."""
    runs = [replay(grid, SAMPLERS[sampler], PRUNERS[pruner], seed, TRIALS) for seed in range(repetitions)]
    records: list[Regret] = []
    for number in range(TRIALS):
        values = [run[number].regret for run in runs]
        records.append(Regret(sampler, pruner, "trials", number + 1, *_interval(values), repetitions))
    for unit in ("steps", "shared steps"):
        for budget in BUDGETS:
            values = [_within(run, unit, budget) for run in runs]
            records.append(Regret(sampler, pruner, unit, budget, *_interval(values), repetitions))
    return records


def _within(run: Sequence[ReplayedTrial], unit: str, budget: int) -> float:
    """Return the regret of the last trial that a budget pays for; of the first one where it pays for none."""
    spent = [trial.steps if unit == "steps" else trial.shared_steps for trial in run]
    paid = [trial.regret for trial, steps in zip(run, spent, strict=True) if steps <= budget]
    return paid[-1] if paid else run[0].regret


def _interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval by Student's t."""
    mean, spread = statistics.fmean(values), statistics.stdev(values)
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * spread / len(values) ** 0.5
    return mean, mean - reach, mean + reach


def to_csv(records: Sequence[Regret]) -> str:
    """Return records as CSV, in dB with four decimals."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["sampler", "pruner", "unit", "at", "mean", "low", "high", "repetitions"])
    for record in records:
        values = (f"{value:.4f}" for value in (record.mean, record.low, record.high))
        writer.writerow([record.sampler, record.pruner, record.unit, record.at, *values, record.repetitions])
    return file.getvalue()


def read_records(file: Path = RECORDS) -> list[Regret]:
    """Return the records of the last replay."""
    return [
        Regret(
            sampler=line["sampler"],
            pruner=line["pruner"],
            unit=line["unit"],
            at=int(line["at"]),
            mean=float(line["mean"]),
            low=float(line["low"]),
            high=float(line["high"]),
            repetitions=int(line["repetitions"]),
        )
        for line in csv.DictReader(file.read_text().splitlines())
    ]


def figure(records: Sequence[Regret]) -> RenderedFigure:
    """Draw regret over trials by sampler, and regret over steps of TPE by what saves steps."""
    names = {"random": "random", "tpe": "TPE", "gp": "Gaussian process", "cmaes": "CMA-ES"}
    by_sampler = [
        (label, [record for record in records if _is(record, sampler, "none", "trials")])
        for sampler, label in names.items()
    ]
    savings = {
        "TPE, nothing saved": ("none", "steps"),
        "stages shared": ("none", "shared steps"),
        "pruned": ("successive_halving", "steps"),
        "shared and pruned": ("successive_halving", "shared steps"),
    }
    by_saving = [
        (label, [record for record in records if _is(record, "tpe", *choice)]) for label, choice in savings.items()
    ]
    left = _panel("regret (dB) after trials", "trials", by_sampler, 0)
    right = _panel("regret (dB) after training steps", "steps", by_saving, 4)
    keys = [line_key(index, label) for index, (label, _) in enumerate(by_sampler)]
    keys += [line_key(4 + index, label) for index, (label, _) in enumerate(by_saving)]
    alt = (
        "Mean regret of four samplers over trials, and of TPE over training steps with and without sharing and pruning"
    )
    return RenderedFigure(FIGURE.stem, "", alt, Sketch((left, right), tuple(keys)))


def _panel(words: str, label: str, series: Sequence[tuple[str, Sequence[Regret]]], first: int) -> Drawing:
    """Draw means as lines, and their intervals as strokes at every fifth trial or second budget."""
    area = Area(44, 26, _PANEL - 12, 226)
    shown = [record for _, records in series for record in records]
    x = Scale(0, max(record.at for record in shown), area.left, area.right)
    y = Scale(0, 1.05 * max(record.high for record in shown), area.bottom, area.top)
    marks = [heading(area, words), across(area, x, label, most=5, whole=True), up(area, y)]
    for index, (_, records) in enumerate(series):
        kind = svg.series(first + index)
        marks.append(svg.curve([(x.position(r.at), y.position(r.mean)) for r in records], f"curve {kind}"))
        for record in records[1 + index :: len(series)]:  # not all at one place, so that none covers another
            at = x.position(record.at)
            ends = (at, y.position(max(0.0, record.low))), (at, y.position(record.high))
            marks.append(svg.line(*ends, f"curve {kind}"))
    return Drawing(_PANEL, panel_height(area), "".join(marks))


def _is(record: Regret, sampler: str, pruner: str, unit: str) -> bool:
    return (record.sampler, record.pruner, record.unit) == (sampler, pruner, unit)


def markdown(records: Sequence[Regret]) -> str:
    """Return the table of the page."""
    by_place = {(record.sampler, record.pruner, record.unit, record.at): record for record in records}
    heads = [f"after {number} trials" for number in _SHOWN_TRIALS]
    heads += [f"{_SHOWN_STEPS} steps, not shared", f"{_SHOWN_STEPS} steps, shared"]
    places = [("trials", number) for number in _SHOWN_TRIALS]
    places += [("steps", _SHOWN_STEPS), ("shared steps", _SHOWN_STEPS)]
    lines = [f"| sampler | pruner | {' | '.join(heads)} |", f"| --- | --- |{' --: |' * len(heads)}"]
    for sampler, pruner in product(SAMPLERS, PRUNERS):
        cells = [_cell(by_place[sampler, pruner, *place]) for place in places]
        lines.append(f"| `{sampler}` | `{pruner}` | {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def _cell(record: Regret) -> str:
    low, high = (text.number(value, 3) for value in (max(0.0, record.low), record.high))
    return f"{text.number(record.mean, 3)} [{low}, {high}]"


def main(arguments: Sequence[str]) -> int:
    """Replay, write or check. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--figure", action="store_true", help="figure and table from the records of the last replay")
    parser.add_argument("--check", action="store_true", help="exit with 1 where figure or table are out of date")
    options = parser.parse_args(arguments)
    if not (options.figure or options.check):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        grid, records = read_grid(GRID), list[Regret]()
        for sampler, pruner in product(SAMPLERS, PRUNERS):
            replayed = regrets(grid, sampler, pruner, REPETITIONS[sampler])
            print(f"{sampler}, {pruner}: regret {replayed[TRIALS - 1].mean:.3f} dB", flush=True)
            records += replayed
        write_bytes(RECORDS, to_csv(records).encode())
    records = read_records()
    before = PAGE.read_text(encoding="utf-8")
    after = _TABLE.sub(lambda match: f"{match[1]}{markdown(records)}{match[3]}", before)
    drawn = figure(records).svg
    if options.check:
        return int(after != before or drawn != FIGURE.read_bytes())
    write_bytes(PAGE, after.encode())
    write_bytes(FIGURE, drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
