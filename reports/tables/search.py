"""Tables of a search: the confirmation, the front of several objectives, importances, and steps spent and saved."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reports import text
from reports.grid import Cell, Column, Grid, Line, plain
from reports.metrics import Metric
from reports.results.trials import Trial
from reports.schema import ConfirmFile, GainInterval, Importance, Objective, SearchedTrial, SearchSteps


def confirmation_table(confirmed: ConfirmFile, metric: Metric) -> Grid:
    """Return what fresh seeds say of the best trials: gain over the base row on val, interval, verdict."""
    columns = (
        Column("trial", "trial", is_row_header=True),
        Column("gain", "gain on val", metric.unit, hint="Over the base row; higher is better."),
        Column("low", "from", metric.unit),
        Column("high", "to", metric.unit),
        Column("verdict", "verdict", numeric=False),
        Column("reason", "remark", numeric=False),
    )
    lines = tuple(
        (
            Cell(trial.trial, str(trial.trial)),
            *_gain_cells(trial.gain, metric),
            plain(trial.verdict or "no verdict"),
            plain("the winner" if trial.trial == confirmed.winner else trial.reason),
        )
        for trial in confirmed.trials
    )
    seeds = text.listing([str(seed) for seed in confirmed.seeds])
    return Grid(
        "confirmation",
        f"The best trials against the base row on val, with seeds {seeds}, which no trial had. 95 % intervals, which "
        "hold together.",
        columns,
        lines,
    )


def shown_gain(gain: GainInterval, metric: Metric) -> str:
    """Return `+0.310 dB [+0.100, +0.520]`."""
    decimals = metric.difference_decimals
    ends = ", ".join(text.signed(end, decimals) for end in (gain.low, gain.high))
    return f"{text.with_unit(text.signed(gain.difference, decimals), metric.unit)} [{ends}]"


def front_table(
    front: Sequence[int],
    picked: int | None,
    objectives: Sequence[Objective],
    details: Mapping[int, SearchedTrial],
    trials: Mapping[int, Trial],
) -> Grid:
    """Return the trials that no other is at least as good as in all objectives, with their settings."""
    paths = list(dict.fromkeys(path for number in front if number in trials for path in trials[number].values))
    columns = (
        Column("trial", "trial", is_row_header=True),
        *(Column(objective.name, objective.label, objective.unit) for objective in objectives),
        *(Column(path, text.printable(_short(path)), numeric=False) for path in paths),
        Column("remark", "remark", numeric=False),
    )
    lines: list[Line] = []
    for number in front:
        values = details[number].objectives if number in details else {}
        settings = trials[number].values if number in trials else {}
        reached = [(values.get(objective.name), objective.decimals) for objective in objectives]
        remark = "in best.yaml" if number == picked else "the base row" if number == 0 else ""
        lines.append(
            (
                Cell(number, str(number)),
                *(Cell(value, text.number(value, decimals)) for value, decimals in reached),
                *(plain(_in_words(settings[path]) if path in settings else text.ABSENT) for path in paths),
                plain(remark),
            )
        )
    return Grid("front", "Trials that no other trial beats or equals in all objectives.", columns, tuple(lines))


def _in_words(value: Any) -> str:
    """Return a setting as it stands in JSON; a text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def importance_table(importances: Sequence[Importance]) -> Grid:
    """Return the shares of the parameters in what the metric varies with, and how sure they are."""
    columns = (
        Column("parameter", "parameter", numeric=False, is_row_header=True),
        Column("share", "share"),
        Column("low", "from"),
        Column("high", "to"),
    )
    lines = tuple(
        (plain(_short(entry.path)), *(Cell(value, f"{value:.0%}") for value in (entry.share, entry.low, entry.high)))
        for entry in importances
    )
    return Grid(
        "importances",
        "What the metric varies with over the trials (PED-ANOVA), with 90 % intervals over trials drawn anew. A share "
        "is about the ranges that were searched, and about where the sampler has looked in them.",
        columns,
        lines,
    )


def steps_table(steps: SearchSteps) -> Grid:
    """Return the steps of a search against those of one that trains every trial from its first step to its last."""
    entries = (
        ("trained", "trained", steps.trained),
        ("shared", "saved: stages that trials share", steps.shared),
        ("pruned", "saved: trials that were ended early", steps.pruned),
        ("rejected", "saved: trials that fail a gate", steps.rejected),
        ("plain", "a plain search", steps.plain),
    )
    columns = (
        Column("what", "steps", numeric=False, is_row_header=True),
        Column("steps", "number"),
        Column("share", ""),
    )
    lines = tuple(
        (plain(label), Cell(amount, text.number(amount, 0)), Cell(amount / steps.plain, f"{amount / steps.plain:.0%}"))
        for _, label, amount in entries
    )
    return Grid("steps", "Training steps of all trials; a plain search would have trained each alone.", columns, lines)


def _gain_cells(gain: GainInterval | None, metric: Metric) -> tuple[Cell, Cell, Cell]:
    values = (gain.difference, gain.low, gain.high) if gain else (None, None, None)
    first, second, third = (Cell(value, text.signed(value, metric.difference_decimals)) for value in values)
    return first, second, third


def _short(path: str) -> str:
    return path.removeprefix("protocol.").removeprefix("model.")
