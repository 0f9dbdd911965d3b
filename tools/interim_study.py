"""Measure how often a run with interim analyses says something false, by simulated outcomes in the real scheduler.

    python tools/interim_study.py --tables 4000

prints a Markdown table and writes `reports/published/interim.json`, which the appendix of every report names.

Nothing is trained: the scores of each row and seed are drawn. All else is what a run does. The scheduler starts the
rows; after each analysis `benchmark.search.interim` decides which stop and which get more seeds; in the end the
verdicts and claims of the report are compared with the truth, which the simulation knows.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.runner.scheduler import ScheduledJob, Scheduler
from benchmark.search.interim import RowSeeds, after_analysis
from reports.claims.evaluate_claims import evaluate
from reports.file_access import write_bytes
from reports.results import Results
from reports.results.summary import BASE, summaries
from reports.schema import AnyClaim, BetterClaim, EquivalentClaim, InterimPlan, PlanFile, PlannedStage, PlanRow, Record
from reports.statistics.seed_noise import Floats
from reports.statistics.verdicts import Verdict, compare_with_base
from reports.tables.provenance import INTERIM, InterimStudyCase

ROWS = 8
IMAGES = 12
MARGIN = 0.2
"""Smallest difference that matters, in dB."""
SEED_SD, IMAGE_SD, REMAINDER_SD = 0.15, 0.15, 0.08
"""Standard deviations in dB, as in tools/coverage_study.py; that of seeds is what small networks have."""
ANALYSES = (5, 10, 20, 40)
NAMES = (BASE, *(f"rows.row_{number}" for number in range(1, ROWS)))


@dataclass(frozen=True)
class Case:
    """A simulated experiment: what is true of its rows, and what it claims."""

    name: str
    truth: tuple[float, ...]
    """Difference of each row to base, in dB."""
    claims: tuple[AnyClaim, ...] = ()
    analyses: tuple[int, ...] = ANALYSES

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows, base first."""
        return NAMES[: 1 + len(self.truth)]


_CLAIMS = (
    BetterClaim(id="first_over_second", text="1 is better than 2.", better=NAMES[1], worse=NAMES[2]),
    BetterClaim(id="no_more_than_margin", text="3 gains little.", better=NAMES[3], worse=BASE, at_most=MARGIN),
    EquivalentClaim(id="equivalent", text="4 is like base.", equivalent=[NAMES[4], BASE]),
)
CASES = (
    Case("all rows equal", (0.0,) * (ROWS - 1)),
    Case("all rows equal, one analysis after 5 seeds", (0.0,) * (ROWS - 1), analyses=(5,)),
    Case("all rows at the margin", (MARGIN, -MARGIN) * 3 + (MARGIN,)),
    Case("large, small and no differences, with claims", (0.6, 0.6, MARGIN, -MARGIN, 0.1, 0.0, -0.6), _CLAIMS),
)


@dataclass(frozen=True)
class Outcome:
    """What a simulated run came to."""

    has_false_word: bool
    """A verdict or the result of a claim contradicts the truth."""
    has_miss: bool
    """An interval that a verdict rests on misses the true difference."""
    seeds: tuple[int, ...]
    """Seeds of each row but base."""
    resolved: int
    """Rows with a verdict other than inconclusive."""


def simulate(case: Case, rng: np.random.Generator) -> Outcome:
    """Return what one simulated run comes to, from the first analysis to the last."""
    return _outcome(case, *run_to_end(case, rng))


def run_to_end(case: Case, rng: np.random.Generator) -> tuple[Results, Mapping[str, RowSeeds]]:
    """Return the results and the seeds of a simulated run whose last analysis is done."""
    scores, scheduler = _scores(case, rng), Scheduler(slots=1)
    seeds = dict.fromkeys(case.rows, RowSeeds(case.analyses[0]))
    while True:
        results = _results(case, seeds, _carried_out(scheduler, seeds), scores)
        following = after_analysis(results, seeds, case.analyses)
        if following == seeds:
            return results, seeds
        seeds = following


def _carried_out(scheduler: Scheduler, seeds: Mapping[str, RowSeeds]) -> set[str]:
    """Let the scheduler start the tests of all rows and seeds; return the ids of those that have finished now."""
    for name, row in seeds.items():
        for seed in range(row.count):
            scheduler.add(ScheduledJob(f"{name}/seed{seed}", order=(seed, int(name != BASE))))
    while (job := scheduler.next()) is not None:
        scheduler.finish(job)
    return {f"{name}/seed{seed}" for name, row in seeds.items() for seed in range(row.count)}


def _scores(case: Case, rng: np.random.Generator) -> Floats:
    """Return scores of the shape (rows, seeds, images); half of the seeds' variance is common to all rows."""
    count = case.analyses[-1]
    rows = len(case.rows)
    own, common = rng.normal(size=(rows, count, 1)), rng.normal(size=(1, count, 1))
    of_seed = SEED_SD * (own + common) / 2**0.5
    of_image = rng.normal(0, IMAGE_SD / 2**0.5, (rows, 1, IMAGES))
    truth = np.array([0.0, *case.truth])[:, None, None]
    return 30 + truth + of_seed + of_image + rng.normal(0, REMAINDER_SD, (rows, count, IMAGES))


def _results(case: Case, seeds: Mapping[str, RowSeeds], finished: set[str], scores: Floats) -> Results:
    """Return what a run folder with these rows and seeds would hold."""
    rows = tuple(_plan_row(name, row) for name, row in seeds.items())
    plan = PlanFile(
        experiment="simulated",
        primary="psnr",
        equivalence_margin=MARGIN,
        seeds=tuple(range(max(row.count for row in seeds.values()))),
        rows=rows,
        interim=InterimPlan(seeds=case.analyses, exponent=2.0),
        claims=case.claims,
    )
    places = [(at, name, seed) for at, name in enumerate(case.rows) for seed in range(seeds[name].count)]
    assert finished == {f"{name}/seed{seed}" for _, name, seed in places}
    frame = pd.DataFrame(
        {
            "row": np.repeat([name for _, name, _ in places], IMAGES),
            "seed": pd.array(np.repeat([seed for _, _, seed in places], IMAGES), dtype="Int64"),
            "split": "test",
            "image": np.tile([f"image_{number:02d}" for number in range(IMAGES)], len(places)),
            "metric": "psnr",
            "value": np.concatenate([scores[at, seed] for at, _, seed in places]),
        }
    )
    records = tuple(_RECORDS[name, seed] for _, name, seed in places)
    return Results(Path(), plan, records, (), (), frame, pd.DataFrame(), "")


def _plan_row(name: str, row: RowSeeds) -> PlanRow:
    stage = PlannedStage(name="only", steps=1, keys={str(seed): f"{name} {seed}" for seed in range(row.count)})
    return PlanRow(
        row=name,
        table=name.rpartition(".")[0] or None,
        kind="trained",
        seeds=tuple(range(row.count)),
        stopped_at=row.stopped_at,
        stages=(stage,),
    )


def _record(name: str, seed: int) -> Record:
    return Record(
        experiment="simulated", row=name, tables=(), seed=seed, status="done", config={}, config_hash="", provenance={},
        scores={"test": {"psnr": {"mean": 30.0, "std": None, "n": IMAGES}}},  # pyright: ignore[reportArgumentType]
    )  # fmt: skip


_RECORDS = {(name, seed): _record(name, seed) for name in NAMES for seed in range(ANALYSES[-1])}
"""Verdicts read the scores of images, so the means in records do not matter."""


def _outcome(case: Case, results: Results, seeds: Mapping[str, RowSeeds]) -> Outcome:
    """Compare the verdicts and claims of the report at the end with the truth."""
    rows = summaries(results)
    truth = dict(zip(case.rows[1:], case.truth, strict=True))
    compared = compare_with_base(results, rows, results.metric("psnr"))
    words = [is_false(item.verdict, truth[name]) for name, item in compared.items() if item.verdict]
    misses = [
        not comparison.estimate.low <= truth[name] <= comparison.estimate.high
        for name, comparison in compared.items()
        if comparison.estimate and comparison.verdict
    ]
    claims = [
        entry.result != "not resolved" and (entry.result == "holds") != _holds(entry.claim, {BASE: 0.0, **truth})
        for entry in evaluate(results, rows)
    ]
    resolved = sum(comparison.verdict not in (None, "inconclusive") for comparison in compared.values())
    return Outcome(any(words) or any(claims), any(misses), tuple(seeds[name].count for name in truth), resolved)


def is_false(verdict: Verdict, truth: float, margin: float = MARGIN) -> bool:
    """Return whether a verdict contradicts the true difference, where higher is better."""
    holds = {
        "gain": truth > 0,
        "loss": truth < 0,
        "negligible gain": 0 < truth < margin,
        "negligible loss": -margin < truth < 0,
        "equivalent": -margin < truth < margin,
        "no gain": truth < margin,
        "inconclusive": True,
    }
    return not holds[verdict]


def _holds(claim: AnyClaim, truth: Mapping[str, float]) -> bool:
    if isinstance(claim, BetterClaim) and isinstance(claim.worse, str):
        gain = truth[claim.better] - truth[claim.worse]
        return (claim.above is None or gain > claim.above) and (claim.at_most is None or gain <= claim.at_most)
    if isinstance(claim, EquivalentClaim):
        row, other = claim.equivalent
        return abs(truth[row] - truth[other]) < MARGIN
    raise ValueError(f"claim {claim.id} has a form that is not simulated")


def measure(case: Case, tables: int, rng: np.random.Generator) -> InterimStudyCase:
    """Return rates over simulated runs, with their Monte Carlo error (one standard error)."""
    outcomes = [simulate(case, rng) for _ in range(tables)]
    seeds = np.array([outcome.seeds for outcome in outcomes])
    false, missed = (
        float(np.mean([getattr(outcome, name) for outcome in outcomes])) for name in ("has_false_word", "has_miss")
    )
    return InterimStudyCase(
        case=case.name,
        analyses=case.analyses,
        tables=tables,
        false_words=false,
        false_words_deviation=(false * (1 - false) / tables) ** 0.5,
        missed=missed,
        missed_deviation=(missed * (1 - missed) / tables) ** 0.5,
        mean_seeds=float(seeds.mean()),
        resolved=float(np.mean([outcome.resolved for outcome in outcomes])) / len(case.truth),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=int, default=4000, help="simulated runs of each case (default 4000)")
    parser.add_argument("--output", type=Path, default=INTERIM, help="JSON file to write")
    options = parser.parse_args(arguments)
    cases = [measure(case, options.tables, np.random.default_rng([2, index])) for index, case in enumerate(CASES)]
    write_bytes(options.output, (json.dumps([asdict(case) for case in cases], indent=1) + "\n").encode())
    print("| simulated runs | tables with a false word, % | with a missed truth, % | seeds a row | rows resolved, % |")
    print("| --- | --: | --: | --: | --: |")
    for case in cases:
        false, missed = (
            f"{100 * share:.1f} ± {100 * deviation:.1f}"
            for share, deviation in (
                (case.false_words, case.false_words_deviation),
                (case.missed, case.missed_deviation),
            )
        )
        print(f"| {case.case} | {false} | {missed} | {case.mean_seeds:.1f} | {100 * case.resolved:.0f} |")


if __name__ == "__main__":
    main()
