"""The results of several experiments as those of one, so that everything that reads results reads them, too."""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from reports.results import Results
from reports.results.summary import SPLIT
from reports.schema import PlanFile, PlanRow, Record

_SAME_FLOOR = 1e-6


def named(runs: Sequence[Results]) -> dict[str, Results]:
    """Each result by the name of its experiment, or of its folder where those repeat, or by its path.

    Of results with the same path, one is left.
    """
    by_experiment = {results.plan.experiment: results for results in runs}
    by_folder = {results.folder.resolve().name: results for results in runs}
    by_path = {str(results.folder): results for results in runs}
    return next((names for names in (by_experiment, by_folder) if len(names) == len(runs)), by_path)


def row_name(experiment: str, row: str) -> str:
    """The name of a row among those of several experiments."""
    return f"{experiment}/{row}"


def merged(experiments: Mapping[str, Results], seeds: Collection[int] | None = None) -> Results:
    """All rows of the experiments (at least one), called `<experiment>/<row>`, with the plan of the first one.

    Rows belong to no table. A floor row that scores the same as that of an earlier experiment is left out. Pictures
    are not found: they are in the folders of the experiments. `seeds`: leave out other seeds; None keeps all.
    """
    parts = [_part(name, results, seeds) for name, results in _without_repeated_floors(experiments).items()]
    first = next(iter(experiments.values()))
    planned = sorted({seed for part in parts for row in part.plan.rows for seed in row.seeds if seed is not None})
    plan = first.plan.model_copy(
        update={
            "experiment": " and ".join(experiments),
            "seeds": tuple(planned),
            "rows": tuple(row for part in parts for row in part.plan.rows),
            "command": "",
            "claims": (),
        }
    )
    return replace(
        first,
        plan=plan,
        records=tuple(record for part in parts for record in part.records),
        problems=tuple(problem for part in parts for problem in part.problems),
        notes=tuple(note for part in parts for note in part.notes),
        scores=pd.concat([part.scores for part in parts], ignore_index=True),
        curves=pd.concat([part.curves for part in parts], ignore_index=True),
        experiment_yaml="",
    )


def restricted(results: Results, rows: Collection[str]) -> Results:
    """The results of these rows alone, without the problems of others."""
    return replace(
        results,
        plan=_with_rows(results.plan, (row for row in results.plan.rows if row.row in rows)),
        records=tuple(record for record in results.records if record.row in rows),
        problems=tuple(problem for problem in results.problems if problem.row in rows),
        scores=results.scores.loc[results.scores["row"].isin(list(rows))],
        curves=results.curves.loc[results.curves["row"].isin(list(rows))],
    )


def _part(experiment: str, results: Results, seeds: Collection[int] | None) -> Results:
    """One experiment with its rows renamed and other seeds left out."""

    def is_kept(seed: int | None) -> bool:
        return seeds is None or seed is None or seed in seeds

    kept = {row.row for row in results.plan.rows}
    return replace(
        results,
        plan=_with_rows(results.plan, (_plan_row(experiment, row, seeds) for row in results.plan.rows)),
        records=tuple(
            record.model_copy(update={"row": row_name(experiment, record.row), "tables": ()})
            for record in results.records
            if record.row in kept and is_kept(record.seed)
        ),
        problems=tuple(
            replace(problem, row=row_name(experiment, problem.row))
            for problem in results.problems
            if is_kept(problem.seed)
        ),
        notes=tuple(f"{experiment}: {note}" for note in results.notes),
        scores=_frame(experiment, results.scores, kept, seeds),
        curves=_frame(experiment, results.curves, kept, seeds),
    )


def _with_rows(plan: PlanFile, rows: Iterable[PlanRow]) -> PlanFile:
    return plan.model_copy(update={"rows": tuple(rows)})


def _plan_row(experiment: str, row: PlanRow, seeds: Collection[int] | None) -> PlanRow:
    kept = tuple(seed for seed in row.seeds if seeds is None or seed is None or seed in seeds)
    return row.model_copy(update={"row": row_name(experiment, row.row), "table": None, "seeds": kept})


def _frame(experiment: str, frame: pd.DataFrame, rows: Collection[str], seeds: Collection[int] | None) -> pd.DataFrame:
    is_selected = frame["row"].isin(list(rows))
    if seeds is not None:
        is_selected &= frame["seed"].isna() | frame["seed"].isin(list(seeds)).fillna(False)
    chosen = frame.loc[is_selected]
    return chosen.assign(row=[row_name(experiment, row) for row in chosen["row"]])


def _without_repeated_floors(experiments: Mapping[str, Results]) -> dict[str, Results]:
    seen: list[Record] = []
    parts: dict[str, Results] = {}
    for name, results in experiments.items():
        baselines = [record for record in results.finished if record.seed is None]
        repeated = {baseline.row for baseline in baselines if any(_is_same_floor(baseline, other) for other in seen)}
        rows = (row for row in results.plan.rows if row.row not in repeated)
        parts[name] = replace(results, plan=_with_rows(results.plan, rows))
        seen += baselines
    return parts


def _is_same_floor(first: Record, second: Record) -> bool:
    of_one, of_other = first.scores.get(SPLIT, {}), second.scores.get(SPLIT, {})
    return (
        first.row == second.row
        and of_one.keys() == of_other.keys()
        and all(math.isclose(of_one[name].mean, of_other[name].mean, rel_tol=_SAME_FLOOR) for name in of_one)
    )
