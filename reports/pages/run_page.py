"""The report of a run as a page: everything it says, in the order it says it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reports import text
from reports.claims import evaluate_claims
from reports.figures import pareto_plot
from reports.figures.drawing import RenderedFigure
from reports.figures.examples import examples
from reports.figures.image_gains import image_differences
from reports.figures.image_index import ImageIndex, image_index
from reports.figures.pareto_figure import pareto_figure
from reports.figures.row_lines import forest, stage_gains
from reports.figures.strip import strip
from reports.grid import Grid
from reports.metrics import Metric
from reports.pages import (
    Block,
    Code,
    Comparer,
    CsvOnly,
    Definitions,
    Details,
    ExploredTable,
    Heading,
    LinkedPlot,
    Page,
    Section,
    present,
    section,
)
from reports.pages.blind_page import blind_section
from reports.pages.cards import candidates, choice_cards
from reports.pages.explored_ranking import explored_ranking
from reports.pages.glossary import glossary
from reports.pages.headline import headline, next_steps
from reports.pages.next_run import next_card
from reports.pages.no_gain import no_gain
from reports.pages.page_data import page_data
from reports.pages.row_details import row_details
from reports.pages.rungs import is_rung, rungs_section
from reports.results import Results
from reports.results.further_tests import FurtherTest, further_tests
from reports.results.summary import BASE, Summary, complete, image_count, ranked, still_to_come, summaries
from reports.schema import PHOTOGRAPHS
from reports.statistics.ranks import order_of
from reports.statistics.verdicts import Comparison
from reports.tables import differences, gates, interval_text, provenance, score_tables, test_images, test_sets, training
from reports.tables import further_tests as test_tables
from reports.tables.differences import DifferenceTable
from reports.tables.skin_tones import skin_tone_table

_NO_IMAGES = (
    "There are no images beside these records: a published study has none. They come with a run of the experiment, by "
    "the first command above; the report of its folder shows them."
)


def build(results: Results) -> Page:
    """Return the report of a run."""
    rows = summaries(results)
    everything, primary = list(rows.values()), results.metric(results.plan.primary)
    margin = results.plan.equivalence_margin
    trained = ranked([row for row in everything if not row.is_baseline], primary)
    by_plan = [row for row in everything if not row.is_baseline and row.attempts]
    order = order_of(results, rows, primary)
    answer = headline(rows, results, primary, order)
    tests = further_tests(results, rows)
    sets = test_sets.rows_on_test_sets(rows, results) if tests else ()
    compared = differences.tables_against_base(rows, results, primary)
    stages = training.last_stages(trained, primary, margin)
    steps = next_steps(compared, primary, margin) + training.learning_sentences(stages)
    finding = no_gain(rows, results, primary)
    next_run = next_card(rows, compared, stages, results, primary, beats_baselines=finding is None)
    grids = _difference_grids(compared, results, everything, primary)
    ranking = explored_ranking(rows, results, primary, grids, tests, order)
    index = image_index(rows, candidates(rows, primary).best, results, primary)
    citations, coverage = provenance.citations(everything), provenance.coverage_table()
    data = page_data(ranking, rows, results, primary, grids, tests) | _pictures(index)
    return Page(
        title=text.printable(results.plan.experiment),
        facts=_facts(results, everything),
        headline=(answer.lead, answer.open_points),
        cards=(*choice_cards(rows, results, primary, order, tests), next_run),
        finding=finding,
        data=data if results.finished else None,
        leader=answer.leader,
        status=still_to_come(results),
        warnings=tuple(filter(None, map(test_tables.warning, tests))),
        damage=tuple(map(text.printable, results.damage)),
        sections=(
            section("ranking", "Ranking", *_ranking(ranking, results, everything, primary)),
            *_further_tests(tests, results, rows),
            section("test-sets", "All test sets", test_sets.pivot_table(everything, sets, BASE)),
            section("latency", "Quality and cost", *_quality_latency(trained, everything, primary)),
            section(
                "differences", "Differences to the base row", *_differences(compared, grids, results, rows, primary)
            ),
            rungs_section(results),
            section("claims", "Claims", evaluate_claims.claims_table(evaluate_claims.evaluate(results, rows))),
            blind_section(results.folder),
            section("images", "Image by image", *_image_by_image(trained, rows, results, primary)),
            section("training", "Stages and learning", *_training(trained, by_plan, results, primary)),
            section(
                "rows",
                "Row by row",
                *(
                    row_details(row, rows, results, primary, compared, is_open=place == 0)
                    for place, row in enumerate(by_plan)
                ),
            ),
            _example_section(rows, results, primary, index),
            section("data", "The data", test_images.degradation_table(results)),
            section("problems", "Rows without result", provenance.problem_table(results), results.notes),
            section("next-steps", "Next steps", steps),
            section("cost", "Cost and sharing", *_cost(everything, by_plan)),
            section(
                "provenance",
                "Provenance",
                provenance.provenance_table([record.provenance for record in results.records], results.plan.seeds),
                "Made with" if results.plan.command else None,
                Code(results.plan.command, "sh") if results.plan.command else None,
                Details("The resolved experiment", (Code(results.experiment_yaml, "yaml"),))
                if results.experiment_yaml
                else None,
            ),
            section(
                "cite",
                "How to cite",
                "The backbones in this report come from these papers." if citations else None,
                Code("\n\n".join(citations), "bibtex") if citations else None,
            ),
            section("glossary", "Glossary", glossary()),
            section("appendix", "Appendix", Details(coverage.caption, (coverage,)) if coverage else None),
        ),
    )


def _facts(results: Results, rows: Sequence[Summary]) -> tuple[str, ...]:
    planned = sum(row.planned for row in rows)
    started = sorted(str(record.provenance.get("started") or "") for record in results.records)
    devices = sorted({str(record.provenance.get("device_name") or "") for record in results.records} - {""})
    choice = "--rows, --seeds, or promoted to this rung" if is_rung(results) else "--rows, --seeds"
    facts = (
        f"{len(results.finished)} of {text.count(planned, 'record')} finished",
        f"chosen rows and seeds only ({choice})" if results.plan.chosen is not None else "",
        text.count(len(results.plan.seeds), "seed"),
        text.count(image_count(results), "test image"),
        text.printable(text.listing(devices)),
        text.printable(started[-1][:10]) if started else "",
    )
    return tuple(filter(None, facts))


def _ranking(ranking: Grid, results: Results, rows: Sequence[Summary], primary: Metric) -> tuple[Block, ...]:
    gate_table = gates.gate_table(gates.gates_of(rows))
    gate_details = Details("Gates: each measured value", (gate_table,)) if gate_table else None
    if not any(row.finished for row in rows):
        return present("No row has finished yet, so there is nothing to rank.", gate_details)
    explained = [metric for metric in map(results.metric, score_tables.metric_names(rows, primary)) if metric.meaning]
    meanings = Definitions(tuple((metric.label, metric.unit, metric.meaning) for metric in explained))
    return present(
        ExploredTable(ranking, tuple(dict.fromkeys(text.printable(table) for row in rows for table in row.tables))),
        Details("All metrics, and what they mean", (score_tables.all_metrics(rows, primary), meanings)),
        gate_details,
    )


def _further_tests(tests: Sequence[FurtherTest], results: Results, rows: Mapping[str, Summary]) -> tuple[Section, ...]:
    """Return a section for each test set beside `test`; that of photographs says where there are none."""
    sections = [
        section(
            test.name if test.name == PHOTOGRAPHS else f"test-{test.name}",
            test_tables.in_words(test).capitalize(),
            strip(test, results, rows),
            test_tables.scores_table(test),
        )
        for test in tests
    ]
    if PHOTOGRAPHS not in [test.name for test in tests] and results.finished:
        sections.insert(0, section(PHOTOGRAPHS, "Photographs", "Not measured on photographs."))
    return tuple(sections)


def _quality_latency(trained: Sequence[Summary], rows: Sequence[Summary], primary: Metric) -> tuple[Block, ...]:
    points = pareto_plot.points(trained, primary)
    if not points:
        note = "No latency was measured on this machine, so there is no plot of quality against latency."
        return (LinkedPlot(None, None, note) if any(row.finished for row in rows) else note,)
    plot = pareto_plot.pareto_plot(points, trained, [row for row in rows if row.is_baseline], primary)
    shown = [point.row.row for point in points]
    names = text.listing([text.printable(row) for row in shown])
    named = "" if len(pareto_plot.named_points(points, primary)) == len(points) else (
        " Only base, and rows that no other row beats in both, carry their name."
    )  # fmt: skip
    outside = f" Outside the plot: {text.listing(list(plot.outside))}." if plot.outside else ""
    figure = RenderedFigure(
        "quality_latency",
        "Reading: rows further left are faster, rows further up are better. "
        f"{primary.label} on test against latency of one image on this machine. The area of a marker grows with the "
        "size of its file (float32). Hollow markers fail a gate. Dashed lines are limits of gates that were measured "
        f"here, dotted lines are baselines.{named}{outside}",
        f"Scatter plot of {primary.label} against latency in ms for {names}. The numbers are in the ranking table.",
        pareto_figure(plot),
    )
    lacking = [text.printable(row.row) for row in trained if row.row not in shown]
    missing = f"Not in the plot, because no latency was measured here: {text.listing(lacking)}." if lacking else None
    return present(LinkedPlot(plot, figure), missing)


def _difference_grids(
    compared: Sequence[DifferenceTable], results: Results, rows: Sequence[Summary], primary: Metric
) -> tuple[Grid, ...]:
    """Return the tables of differences: no interval that says nothing, and baselines in the first table alone."""
    names = {primary.name, *score_tables.MAIN_METRICS}
    scales = {name: interval_text.scale(rows, results.metric(name)) for name in names}
    seeds = max((len(row.finished) for row in rows if row.row == BASE), default=0)
    grids = [interval_text.without_vacuous_intervals(table.grid, primary.name, scales, seeds) for table in compared]
    return tuple(replace(grid, footer_rows=grid.footer_rows * (place == 0)) for place, grid in enumerate(grids))


def _differences(
    compared: Sequence[DifferenceTable],
    grids: Sequence[Grid],
    results: Results,
    rows: dict[str, Summary],
    primary: Metric,
) -> tuple[Block, ...]:
    if not compared:
        reasons = {
            "The experiment has no tables.": not any(row.tables for row in rows.values()),
            "The base row has no finished seed, so there is nothing to compare with.": BASE not in rows
            or not rows[BASE].finished,
            "No row of a table shares a finished seed with the base row.": True,
        }
        return (next(reason for reason, holds in reasons.items() if holds),)
    margin = results.plan.equivalence_margin
    band = " The shaded band holds differences too small to matter in this experiment." if margin else ""
    widest = interval_text.scale(list(rows.values()), primary)
    blocks: list[Block] = [*differences.how_to_read(len(results.plan.seeds), primary, margin, results.plan.interim)]
    for table, grid in zip(compared, grids, strict=True):
        name = text.printable(table.table)
        figure = RenderedFigure(
            f"differences_{table.table}",
            f"Reading: a line that crosses 0 leaves open which row is better. Table {name}: {primary.label} minus that "
            f"of base. A square is the mean, hollow where there is no verdict. The line is its 95 % interval, where "
            f"that says anything; a dot is a seed.{band}",
            f"Forest plot of the differences in table {name}; the numbers are in the table above it.",
            forest(table.differences, _shown_intervals(table, widest), primary, margin, BASE),
        )
        blocks += [Heading(f"Table {table.table}"), grid, figure]
    return tuple(blocks)


def _shown_intervals(table: DifferenceTable, widest: float) -> dict[str, Comparison]:
    """Return the comparisons whose intervals a figure shows: one that reads n/a in the table would flatten all else."""
    return {
        row: comparison
        for row, comparison in table.comparisons.items()
        if (estimate := comparison.estimate)
        and not interval_text.is_vacuous(estimate.low, estimate.high, estimate.seeds, widest)
    }


def _image_by_image(
    trained: Sequence[Summary], rows: dict[str, Summary], results: Results, primary: Metric
) -> tuple[Block, ...]:
    peers = complete(trained)
    leader = next((row for row in peers if not row.failed_gates), peers[0] if peers else None)
    severity = test_images.severity_table(list(rows.values()), results, primary)
    skin_tones = skin_tone_table(list(rows.values()), results, primary)
    return present(
        *(block for pair in image_differences(leader, rows, results, primary) for block in pair),
        Heading("By severity") if severity else None,
        severity,
        Heading("By skin tone") if skin_tones else None,
        skin_tones,
    )


def _training(
    trained: Sequence[Summary], by_plan: Sequence[Summary], results: Results, primary: Metric
) -> tuple[Block, ...]:
    if not by_plan:
        return ("No row was trained yet.",)
    sketch = stage_gains(trained, primary)
    gains = RenderedFigure(
        "stage_gains",
        "Reading: the distance between two dots is what a stage adds. "
        f"Validation {primary.label} after each stage, mean over seeds.",
        f"For each row, its validation {primary.label} after each stage. The numbers are in the tables of stages.",
        sketch,
    ) if sketch else None  # fmt: skip
    return present(
        gains,
        training.learning_table(training.last_stages(trained, primary, results.plan.equivalence_margin)),
        training.tuning_table(results),
        CsvOnly(training.all_stages_table(by_plan)),
    )


def _pictures(index: ImageIndex) -> dict[str, Any]:
    """Return what the comparer uses, as plain data."""
    shown = {"names": index.names, "folders": index.folders, "thumbnails": index.thumbnails}
    return {"pictures": shown} if index.folders and index.names else {}


def _example_section(rows: dict[str, Summary], results: Results, primary: Metric, index: ImageIndex) -> Section:
    chosen = examples(rows, results, primary)
    every = Details("Every test image, with its scores", (index.table,)) if index.names else None
    if not chosen.shown:
        has_images = (results.folder / "pairs").is_dir()
        none = "There are no images to show." if has_images else _NO_IMAGES
        return section("examples", "Examples", none, *chosen.linked, chosen.notes if has_images else (), every)
    folded = tuple(example for example in chosen.shown if example.is_folded)
    return section(
        "examples",
        "Examples",
        Comparer() if _pictures(index) else None,
        every,
        "Each example shows the whole image first. Below it is the framed window at full size: the place where "
        "degraded and target differ most. Below that is the error that is left in the window: the largest difference "
        "of a channel to the target, in 8-bit levels. Black is no error.",
        *(example for example in chosen.shown if not example.is_folded),
        Details("More examples", folded) if folded else None,
        *chosen.linked,
        chosen.notes,
    )


def _cost(rows: Sequence[Summary], by_plan: Sequence[Summary]) -> tuple[Block, ...]:
    if not by_plan:
        return ("Nothing was trained yet.",)
    costs = training.costs_of(rows)
    return training.sharing_summary(costs.values()), training.cost_table(costs)
