"""The statement that no network beats doing nothing, or another baseline, with likely causes found in the records."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from reports import text
from reports.metrics import Metric
from reports.pages import Finding
from reports.results import Results
from reports.results.summary import BASE, IDENTITY, Summary, ranked
from reports.schema import Json, Record
from reports.tables.test_images import damaged_shares
from reports.tables.training import LastStage, last_stages

_FEW_PASSES = 10
"""Restoration networks are usually trained for hundreds of passes over their images."""
_FEW_SPOT_PIXELS = 0.05
"""Below this share, a loss over whole patches is nearly that of the background."""
_MOST_NAMES = 4


def no_gain(rows: Mapping[str, Summary], results: Results, primary: Metric) -> Finding | None:
    """Return which baselines no trained row beats, the likely causes and what to change; None where all are beaten."""
    trained = ranked([row for row in rows.values() if not row.is_baseline], primary)
    best = next((row for row in trained if row.mean(primary.name) is not None), None)
    top = best.mean(primary.name) if best else None
    if best is None or top is None:
        return None
    unbeaten = [
        (row, mean)
        for row in ranked([row for row in rows.values() if row.is_baseline], primary)
        if (mean := row.mean(primary.name)) is not None and primary.gain(top, mean) <= 0
    ]
    if not unbeaten:
        return None
    names = [f"{_in_words(row.row)} ({_value(mean, primary)})" for row, mean in unbeaten]
    statement = (
        f"No network beats {text.listing(names)}: the best, {text.printable(best.row)}, has {_value(top, primary)}."
    )
    causes = _causes(trained, results, primary)
    return Finding(statement, causes or ("The records show no likely cause: look at the images of the best row.",))


def _in_words(row: str) -> str:
    return "doing nothing" if row == IDENTITY else f"the baseline {text.printable(row)}"


def _value(mean: float, primary: Metric) -> str:
    return f"{text.with_unit(text.number(mean, primary.decimals), primary.unit)} {primary.label}"


def _causes(trained: Sequence[Summary], results: Results, primary: Metric) -> tuple[str, ...]:
    """Return the likely causes, a sentence or two each; the second says what to change."""
    stages = last_stages(trained, primary, results.plan.equivalence_margin)
    record = next((row.finished[0] for row in trained if row.row == BASE), trained[0].finished[0])
    return tuple(
        filter(
            None,
            (
                _still_learning(stages),
                _few_steps(record),
                _few_spot_pixels(record, damaged_shares(results)),
                _rate(trained, stages, results),
            ),
        )
    )


def _still_learning(stages: Sequence[LastStage]) -> str:
    learning = [stage for stage in stages if stage.is_still_learning]
    if not learning:
        return ""
    most = max(stage.late_gain or 0.0 for stage in learning)
    return (
        f"Still learning: {len(learning)} of {text.count(len(stages), 'row')} gained up to {text.number(most, 2)} dB "
        "in the last fifth of their steps. Train them longer."
    )


def _few_steps(record: Record) -> str:
    """Return how often a row saw its training images, where its settings tell their number and size."""
    pixels = sum(_pixels(source) for source in _sources(record.config.get("data", {}).get("train", {})))
    protocol = _protocol(record)
    seen = sum(stage["steps"] * stage["batch"] * stage["patch"] ** 2 for stage in protocol.values())
    if not pixels or seen >= _FEW_PASSES * pixels:
        return ""
    steps = text.count(sum(stage["steps"] for stage in protocol.values()), "step")
    passes = text.significant(seen / pixels)
    return (
        f"Few steps: {steps} of {text.printable(record.row)} cover the training images {passes} times. "
        "Train longer, or on larger patches."
    )


def _few_spot_pixels(record: Record, shares: Sequence[float]) -> str:
    """Return how much of a patch is spots, where no stage looks for them."""
    if not shares or median(shares) >= _FEW_SPOT_PIXELS:
        return ""
    if any("spot_crop" in (stage.get("augment") or {}) for stage in _protocol(record).values()):
        return ""
    percent = text.significant(100 * median(shares))
    return (
        f"Few spot pixels in the patches: spots cover {percent} % of a test image (median), and patches are cut "
        "anywhere. Add the augmentation spot_crop, or a loss on the spots."
    )


def _rate(trained: Sequence[Summary], stages: Sequence[LastStage], results: Results) -> str:
    """Return signs of a wrong learning rate: damage on val, undone steps, a best candidate at the end of the list."""
    worse = [text.printable(stage.row) for stage in stages if stage.is_worse_than_nothing]
    skipped = sum(stage.skipped_steps for row in trained for record in row.finished for stage in record.stages)
    signs = [f"{_few(worse)} ended worse than doing nothing on val"] * bool(worse)
    signs += [f"{text.count(skipped, 'step')} had to be undone"] * bool(skipped)
    if signs:
        return f"Learning rate too high: {text.listing(signs)}. Lower the rate of the longest stage."
    if results.tuning is None:
        return "The learning rates were not tuned here. Tune them: section tuning of the experiment."
    edge = [
        text.printable(row.row)
        for row in results.tuning.rows
        if row.candidates and row.chosen in (row.candidates[0].candidate, row.candidates[-1].candidate)
    ]
    return f"Learning rate: the best of {_few(edge)} lies at the end of those tried. Try others beyond." if edge else ""


def _few(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return text.listing([*names[:_MOST_NAMES], f"{more} more"] if more > 0 else list(names))


def _protocol(record: Record) -> dict[str, Json]:
    """Return the stages of a record's settings that have steps, batch and patch; none in older records."""
    protocol = record.config.get("protocol")
    stages = protocol if isinstance(protocol, dict) else {}
    return {
        name: stages[name]
        for name in stages.get("order", ())
        if isinstance(stages.get(name), dict)
        and all(isinstance(stages[name].get(key), int) for key in ("steps", "batch", "patch"))
    }


def _sources(source: Any) -> list[Json]:
    """Return a source of pairs, or those that it is put together from."""
    if not isinstance(source, dict):
        return []
    parts = source.get("sources")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else [source]


def _pixels(source: Json) -> int:
    """Return the pixels of a source of drawn images; 0 where their number or size is not in its settings."""
    count, size = source.get("count"), source.get("size")
    return count * size * size if isinstance(count, int) and isinstance(size, int) else 0
