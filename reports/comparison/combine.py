"""Several experiments as one: their rows under one plan, each baseline once."""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from reports.comparison.scored_images import agree
from reports.results import Results
from reports.results.summary import SPLIT
from reports.schema import PlanFile, PlanRow, Record


def named(results: Sequence[Results]) -> dict[str, Results]:
    """Return each result by the name of its experiment, or of its folder where those repeat, or by its path.

    Of results with the same path, the last one is kept.
    """
    by_experiment = {item.plan.experiment: item for item in results}
    by_folder = {item.folder.resolve().name: item for item in results}
    by_path = {str(item.folder): item for item in results}
    return next((names for names in (by_experiment, by_folder) if len(names) == len(results)), by_path)


def row_name(experiment: str, row: str) -> str:
    """Return the name of a row among those of several experiments."""
    return f"{experiment}/{row}"


def merged(experiments: Mapping[str, Results], seeds: Collection[int] | None = None) -> Results:
    """Return all rows of the experiments (at least one), called `<experiment>/<row>`, with the plan of the first one.

    Rows belong to no table. A baseline that scores the same as that of an earlier experiment is left out. Pictures are
    not found: they are in the folders of the experiments.

    Args:
        experiments: Results by the name of their experiment.
        seeds: The seeds to keep; None keeps all.
    """
    parts = [_part(name, results, seeds) for name, results in _without_repeated_baselines(experiments).items()]
    first = next(iter(experiments.values()))
    rows = tuple(row for part in parts for row in part.plan.rows)
    update = {
        "experiment": " and ".join(experiments),
        "seeds": tuple(sorted({seed for row in rows for seed in row.seeds if seed is not None})),
        "rows": rows,
        "command": "",
        "claims": (),
    }
    return replace(
        first,
        plan=first.plan.model_copy(update=update),
        records=tuple(record for part in parts for record in part.records),
        problems=tuple(problem for part in parts for problem in part.problems),
        notes=tuple(note for part in parts for note in part.notes),
        scores=pd.concat([part.scores for part in parts], ignore_index=True),
        curves=pd.concat([part.curves for part in parts], ignore_index=True),
        experiment_yaml="",
    )


def restricted(results: Results, rows: Collection[str]) -> Results:
    """Return the results of these rows alone, without the problems of others."""
    return replace(
        results,
        plan=_with_rows(results.plan, (row for row in results.plan.rows if row.row in rows)),
        records=tuple(record for record in results.records if record.row in rows),
        problems=tuple(problem for problem in results.problems if problem.row in rows),
        scores=results.scores.loc[results.scores["row"].isin(list(rows))],
        curves=results.curves.loc[results.curves["row"].isin(list(rows))],
    )


def _part(experiment: str, results: Results, seeds: Collection[int] | None) -> Results:
    """Return one experiment with its rows renamed and other seeds left out."""

    def is_kept(seed: int | None) -> bool:
        return seeds is None or seed is None or seed in seeds

    rows = {row.row for row in results.plan.rows}
    plan_rows = (
        row.model_copy(
            update={
                "row": row_name(experiment, row.row),
                "table": None,
                "seeds": tuple(filter(is_kept, row.seeds)),
            }
        )
        for row in results.plan.rows
    )
    return replace(
        results,
        plan=_with_rows(results.plan, plan_rows),
        records=tuple(
            record.model_copy(update={"row": row_name(experiment, record.row), "tables": ()})
            for record in results.records
            if record.row in rows and is_kept(record.seed)
        ),
        problems=tuple(
            replace(problem, row=row_name(experiment, problem.row))
            for problem in results.problems
            if is_kept(problem.seed)
        ),
        notes=tuple(f"{experiment}: {note}" for note in results.notes),
        scores=_frame(experiment, results.scores, rows, seeds),
        curves=_frame(experiment, results.curves, rows, seeds),
    )


def _with_rows(plan: PlanFile, rows: Iterable[PlanRow]) -> PlanFile:
    return plan.model_copy(update={"rows": tuple(rows)})


def _frame(experiment: str, frame: pd.DataFrame, rows: Collection[str], seeds: Collection[int] | None) -> pd.DataFrame:
    is_kept = frame["row"].isin(list(rows))
    if seeds is not None:
        is_kept &= frame["seed"].isna() | frame["seed"].isin(list(seeds)).fillna(False)
    kept = frame.loc[is_kept]
    return kept.assign(row=[row_name(experiment, row) for row in kept["row"]])


def _without_repeated_baselines(experiments: Mapping[str, Results]) -> dict[str, Results]:
    """Return the experiments with each baseline once: the one with most metrics; of these, the first."""
    baselines = [
        (name, record) for name, results in experiments.items() for record in results.finished if record.seed is None
    ]
    kept: list[Record] = []
    repeated: set[tuple[str, str]] = set()
    for name, record in sorted(baselines, key=lambda entry: -len(entry[1].scores.get(SPLIT, {}))):
        if any(_scores_equal(record, other) for other in kept):
            repeated.add((name, record.row))
        else:
            kept.append(record)
    return {
        name: replace(
            results,
            plan=_with_rows(results.plan, (row for row in results.plan.rows if (name, row.row) not in repeated)),
        )
        for name, results in experiments.items()
    }


def _scores_equal(record: Record, other: Record) -> bool:
    """Tell whether two records are of one baseline: equal in every metric that both have, in one at least."""
    scores, others = record.scores.get(SPLIT, {}), other.scores.get(SPLIT, {})
    shared = scores.keys() & others.keys()
    return (
        record.row == other.row
        and bool(shared)
        and all(agree(name, scores[name].mean, others[name].mean) for name in shared)
    )
