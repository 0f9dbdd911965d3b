"""Everything a report says, in the order it says it. `html` and `markdown` only give it form."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports import metrics, text
from reports.claims import evaluate_claims
from reports.figures import run_figures
from reports.figures.examples import Examples, examples
from reports.figures.figure_output import Drawing, render, style
from reports.figures.forest import forest
from reports.figures.image_differences import ImageDifferences, image_differences
from reports.figures.pareto_plot import Front, front
from reports.grid import Grid
from reports.metrics import Metric
from reports.pages.headline import Answer, answer
from reports.pages.next_steps import outlook
from reports.results import Results
from reports.results.load import tuning_of
from reports.results.progress import still_to_come
from reports.results.summary import (
    BASE,
    Summary,
    complete,
    curves_of,
    image_count,
    ranked,
    summaries,
)
from reports.statistics import coverage
from reports.tables import costs, differences, gates, learning, provenance, score_tables, tuning
from reports.tables.degradation import degradation
from reports.tables.differences import Compared
from reports.tables.severity import by_severity


@dataclass(frozen=True)
class Comparison:
    """One table of the experiment against the base row."""

    table: str
    grid: Grid
    drawing: Drawing


@dataclass(frozen=True)
class Training:
    """How one row was trained."""

    row: str
    outline: str
    grid: Grid | None
    drawing: Drawing | None


@dataclass(frozen=True)
class Page:
    """A report."""

    title: str
    facts: tuple[str, ...]
    """A few words each, below the title."""
    answer: Answer
    reading: tuple[str, ...]
    """How to read differences."""
    ranking: Grid | None
    all_metrics: Grid | None
    gates: Grid | None
    quality_latency: Drawing | None
    without_latency: str
    """Which rows the figure lacks, or why there is none."""
    comparisons: tuple[Comparison, ...]
    comparison_note: str
    """Why there are no comparisons; empty where there are."""
    stage_gains: Drawing | None
    training: tuple[Training, ...]
    examples: Examples
    problems: Grid | None
    notes: tuple[str, ...]
    cost: Grid | None
    sharing: tuple[str, ...]
    provenance: Grid
    command: str
    citations: tuple[str, ...]
    experiment_yaml: str
    glossary: tuple[Metric, ...]
    csv_only: tuple[Grid, ...]
    front: Front | None = None
    """The same as `quality_latency`, as a figure of links for the page."""
    image_differences: tuple[ImageDifferences, ...] = ()
    severity: Grid | None = None
    degradation: Grid | None = None
    learning: Grid | None = None
    tuning: Grid | None = None
    outlook: tuple[str, ...] = ()
    """What would change the verdict."""
    claims: Grid | None = None
    appendix: tuple[Grid, ...] = ()
    partial: str = ""
    """What is still to come; empty where every planned record is there."""
    reload_seconds: int = 0
    """How often a browser loads the page anew while the run goes on; 0: never."""

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Every grid that goes into a CSV file."""
        fixed = (
            self.ranking, self.all_metrics, self.gates, self.cost, self.problems, self.provenance, self.severity,
            self.degradation, self.claims, self.learning, self.tuning,
        )  # fmt: skip
        compared = (one.grid for one in self.comparisons)
        return (*(grid for grid in fixed if grid), *compared, *self.csv_only, *self.appendix)

    @property
    def drawings(self) -> tuple[Drawing, ...]:
        """Every figure."""
        repeated = (one.drawing for one in (*self.comparisons, *self.training, *self.image_differences))
        found = (self.quality_latency, self.stage_gains, *repeated)
        return tuple(drawing for drawing in found if drawing)


def build(results: Results) -> Page:
    """The report of a run."""
    rows = summaries(results)
    primary = metrics.metric(results.plan.primary)
    trained = ranked([row for row in rows.values() if not row.is_baseline], primary)
    finished = any(row.finished for row in rows.values())
    found = costs.all_costs(list(rows.values()))
    drawn = run_figures.points(trained, primary)
    floors = [row for row in rows.values() if row.is_baseline]
    with style():
        quality_latency, without_latency = _quality_latency(trained, list(rows.values()), primary)
        compared = differences.compared(rows, results, primary)
        comparisons = _comparisons(compared, primary, results.plan.equivalence_margin)
        gains = _stage_gains(trained, primary)
        training = tuple(_training(row, results) for row in _by_plan(rows) if row.attempts)
        by_image = image_differences(_first(trained), rows, results, primary)
    return Page(
        title=text.printable(results.plan.experiment),
        partial=still_to_come(results),
        facts=_facts(results, rows),
        answer=answer(rows, results, primary),
        reading=differences.reading(len(results.plan.seeds), primary, results.plan.equivalence_margin),
        ranking=score_tables.ranking(list(rows.values()), primary) if finished else None,
        all_metrics=score_tables.all_metrics(list(rows.values()), primary) if finished else None,
        gates=gates.grid(list(rows.values())),
        quality_latency=quality_latency,
        without_latency=without_latency,
        comparisons=comparisons,
        comparison_note="" if comparisons else _no_comparisons(rows),
        stage_gains=gains,
        training=training,
        examples=examples(rows, results, primary),
        problems=provenance.problems(results),
        notes=results.notes,
        cost=costs.grid(found) if training else None,
        sharing=costs.sharing_sentences(costs.sharing(list(found.values()))) if training else (),
        provenance=provenance.grid(results),
        command=results.plan.command,
        citations=provenance.citations(list(rows.values())),
        experiment_yaml=results.experiment_yaml,
        glossary=_glossary(rows, primary),
        csv_only=(costs.all_stages(_by_plan(rows)),) if training else (),
        front=front(drawn, trained, floors, primary) if drawn else None,
        image_differences=by_image,
        severity=by_severity(list(rows.values()), results, primary),
        degradation=degradation(results),
        learning=learning.learning(trained, primary, results.plan.equivalence_margin),
        tuning=tuning.tuning(tuning_of(results.folder)),
        outlook=(
            *outlook(compared, primary, results.plan.equivalence_margin),
            *learning.too_short(trained, primary, results.plan.equivalence_margin),
        ),
        claims=evaluate_claims.grid(evaluate_claims.judge(results, rows)),
        appendix=tuple(grid for grid in (coverage.appendix(),) if grid),
    )


def _first(trained: Sequence[Summary]) -> Summary | None:
    """The best row that fails no gate, of those with as many seeds as any; the best at all where every row fails."""
    peers = complete(trained)
    return next((row for row in peers if not row.failed_gates), peers[0] if peers else None)


def _by_plan(rows: dict[str, Summary]) -> list[Summary]:
    return [row for row in rows.values() if not row.is_baseline]


def _facts(results: Results, rows: dict[str, Summary]) -> tuple[str, ...]:
    planned = sum(row.planned for row in rows.values())
    started = sorted(str(record.provenance.get("started") or "") for record in results.records)
    devices = sorted({str(record.provenance.get("device_name") or "") for record in results.records} - {""})
    return tuple(
        fact
        for fact in (
            f"{len(results.finished)} of {text.count(planned, 'record')} finished",
            text.count(len(results.plan.seeds), "seed"),
            text.count(image_count(results), "test image"),
            text.printable(text.listing(devices)),
            text.printable(started[-1][:10]) if started else "",
        )
        if fact
    )


def _quality_latency(
    trained: Sequence[Summary], rows: Sequence[Summary], primary: Metric
) -> tuple[Drawing | None, str]:
    found = run_figures.points(trained, primary)
    if not found:
        return None, "No latency was measured on this machine, so there is no figure of quality against latency."
    floors = [row for row in rows if row.is_baseline]
    shown = {point.row.row for point in found}
    lacking = [text.printable(row.row) for row in trained if row.row not in shown]
    names = text.listing([text.printable(point.row.row) for point in found])
    few = (
        ""
        if len(run_figures.labelled(found, primary)) == len(found)
        else " Named: base and rows no other beats in both."
    )
    drawing = render(
        run_figures.quality_latency(found, floors, primary),
        "quality_latency",
        f"{primary.label} on test against latency of one image on this machine. The area of a marker grows with its "
        "file (float32); hollow markers fail a gate. Dashed: limits of gates measured here; dotted: rows that need no "
        f"training.{few}",
        f"Scatter plot of {primary.label} against latency in ms for {names}. The numbers are in the ranking table.",
    )
    return drawing, f"Without latency here, so not shown: {text.listing(lacking)}." if lacking else ""


def _comparisons(compared: Sequence[Compared], primary: Metric, margin: float) -> tuple[Comparison, ...]:
    return tuple(Comparison(one.table, one.grid, _dots(one, primary, margin)) for one in compared)


def _dots(one: Compared, primary: Metric, margin: float) -> Drawing:
    name = text.printable(one.table)
    band = " The shaded band is what the experiment counts as too small to matter." if margin else ""
    return render(
        forest(one.found, one.verdicts, primary, margin, BASE),
        f"differences_{one.table}",
        f"Table {name}: {primary.label} minus that of base. A square is the mean, hollow where there is no word; the "
        f"line is its interval, a dot is a seed.{band}",
        f"Forest plot of the differences in table {name}; the numbers are in the table beside it.",
    )


def _no_comparisons(rows: dict[str, Summary]) -> str:
    if not any(row.tables for row in rows.values()):
        return "The experiment has no tables."
    if BASE not in rows or not rows[BASE].finished:
        return "The base row has no finished seed, so there is nothing to compare with."
    return "No row of a table shares a finished seed with the base row."


def _stage_gains(trained: Sequence[Summary], primary: Metric) -> Drawing | None:
    figure = run_figures.stage_gains(trained, primary)
    if figure is None:
        return None
    return render(
        figure,
        "stage_gains",
        f"Validation {primary.label} after each stage, mean over seeds.",
        f"For each row, its validation {primary.label} after each stage. The numbers are in the tables of stages.",
    )


def _training(row: Summary, results: Results) -> Training:
    stages: dict[str, bool] = {}
    for record in row.attempts:
        for stage in record.stages:
            stages[stage.name] = stages.get(stage.name, True) and stage.reused
    figure = run_figures.loss_curves(
        curves_of(results, row.row), [(name, f"{name} (reused)" if reused else name) for name, reused in stages.items()]
    )
    name = text.printable(row.row)
    drawing = render(
        figure,
        f"loss_{row.row}",
        f"Training loss of {name}, stage by stage; every stage has its own loss, hence its own scale.",
        f"Loss curves of {name} over the steps of each stage, one line a seed.",
    ) if figure else None  # fmt: skip
    cost = costs.cost(row)
    trained = f"{text.count(cost.trained_steps, 'step')} trained in {text.duration(cost.trained_seconds)}"
    reused = f"{text.count(cost.reused_steps, 'step')} reused"
    parts = [trained] * (cost.trained_steps > 0) + [reused] * (cost.reused_steps > 0)
    without_stages = "not trained: its weights are from a file" if row.finished else "no stage finished"
    return Training(row.row, ", ".join(parts) or without_stages, costs.stages(row), drawing)


def _glossary(rows: dict[str, Summary], primary: Metric) -> tuple[Metric, ...]:
    names = score_tables.metric_names(list(rows.values()), primary)
    return tuple(one for one in map(metrics.metric, names) if one.meaning)
