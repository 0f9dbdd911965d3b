"""The model card of an exported row: what it does, what it costs, how it was made, and what is not known of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from reports import text
from reports.digests import digest
from reports.metrics import Metric
from reports.pages.cards import candidates
from reports.results import Results
from reports.results.summary import IDENTITY, Summary, image_count, image_gains, image_scores, summaries
from reports.schema import Json
from reports.tables import gates
from reports.tables.provenance import citations

_SHOWN = ("psnr", "psnr_spots", "psnr_background", "ssim", "harm", "texture")
_MANY_IMAGES = 30
"""Below this, the mean over the test images is a rough one."""


def shipped_row(results: Results) -> Summary | None:
    """Return the best row under the limits, by the metric of the report; None where none beats doing nothing."""
    rows, primary = summaries(results), results.metric(results.plan.primary)
    best = candidates(rows, primary).best
    nothing = rows[IDENTITY].mean(primary.name) if IDENTITY in rows else None
    mean = best.mean(primary.name) if best else None
    if best is None or mean is None or (nothing is not None and primary.gain(mean, nothing) <= 0):
        return None
    return best


def score_lines(results: Results, row: Summary) -> tuple[str, ...]:
    """Return a line for each metric of a row: before, after, and on how many test images it is better."""
    return tuple(": ".join((line[0], " ".join(line[1:]))) for line in _scores(results, row))


def model_card(results: Results, row: Summary, files: Sequence[Path]) -> str:
    """Return the model card of a row as Markdown.

    Args:
        results: The run.
        row: The row that was exported; the weights are those of its first seed.
        files: The exported files, which lie beside the card.
    """
    choices = candidates(summaries(results), results.metric(results.plan.primary)).peers
    model = f"{row.model.backbone} with head {row.model.head}" if row.model else "a network"
    shown = text.printable(results.plan.experiment)
    parts = [
        f"# {shown}",
        f"{model}, row `{text.printable(row.row)}` of the experiment `{shown}`. It restores images of the kind that it "
        "was trained on: of other kinds nothing is known.",
        "## What it does",
        _table(("metric", "as it was", "restored", "change"), _scores(results, row)),
        _choice(results, len(choices)),
        "## What it costs",
        _costs(row),
        "## Files",
        _table(("file", "bytes", "SHA-256"), [_file(file) for file in files]),
        "## How it was made",
        _table(("setting", "value"), list(_training(results, row))),
        "## Not known",
        "\n".join(f"* {line}" for line in _unknown(results, row)),
        "## Use",
        _use(files),
    ]
    licence = (
        "The weights were trained on your pairs alone. The code of the network is under the licence of the project."
    )
    parts += ["## Licence and citation", licence, *(f"```bibtex\n{entry}\n```" for entry in citations([row]))]
    return "\n\n".join(parts) + "\n"


def _scores(results: Results, row: Summary) -> list[tuple[str, str, str, str]]:
    rows = summaries(results)
    nothing = rows.get(IDENTITY)
    lines: list[tuple[str, str, str, str]] = []
    for name in _SHOWN:
        metric, after = results.metric(name), row.mean(name)
        if after is None:
            continue
        before = nothing.mean(name) if nothing else None
        gains = [gain for _, gain in image_gains(row, nothing, metric, image_scores(results, name))] if nothing else []
        better = f", better on {sum(gain > 0 for gain in gains)} of {len(gains)}" if gains and name != "harm" else ""
        change = text.signed(after - before, metric.difference_decimals) if before is not None else text.ABSENT
        lines.append((metric.label, _value(before, metric), _value(after, metric), f"{change}{better}"))
    return lines


def _value(value: float | None, metric: Metric) -> str:
    return text.with_unit(text.number(value, metric.decimals), metric.unit)


def _costs(row: Summary) -> str:
    lines = [(gate.name, f"{gates.reason(gate)}: {gate.result.replace('_', ' ')}") for gate in row.gates]
    return _table(("limit", "measured"), lines) if lines else "No limits were set."


def _file(file: Path) -> tuple[str, str, str]:
    return file.name, f"{file.stat().st_size:,}", f"`{digest(file)}`"


def _choice(results: Results, choices: int) -> str:
    images = image_count(results)
    means = f"Means over {text.count(images, 'test image')} that training did not see, full image, RGB, 8 bits."
    if choices < 2:
        return means
    return f"{means} It was chosen among {choices} rows by these images, which makes its mean a little too good."


def _training(results: Results, row: Summary) -> Iterator[tuple[str, str]]:
    record = row.finished[0]
    protocol = record.config.get("protocol")
    for stage in record.stages:
        settings = protocol.get(stage.name) if isinstance(protocol, dict) else None
        details = _details(settings) if isinstance(settings, dict) else ""
        yield f"stage {text.printable(stage.name)}", f"{text.count(stage.steps, 'step')}{details}"
    tuned = next((entry for entry in results.tuning.rows if entry.row == row.row), None) if results.tuning else None
    if tuned and tuned.chosen:
        yield "tuned on val", f"{text.printable(tuned.chosen)}, the best of {len(tuned.candidates)}"
    yield "seeds", f"{len(row.finished)} trained; the files hold seed {row.seeds[0]}"
    if row.model:
        yield "weights", f"{row.model.params:,}; {row.model.macs / 1e9:.2f} billion multiply-adds at 256 x 256 pixels"
    yield "trained on", str(record.provenance.get("environment", text.ABSENT))
    yield "made by", f"`{text.printable(results.plan.command)}`"


def _details(settings: Json) -> str:
    """Return what a stage was trained with, as far as its record tells."""
    words = {"batch": " of {} patches", "patch": " of {} px", "lr": ", learning rate {:g}"}
    return "".join(
        word.format(settings[key]) for key, word in words.items() if isinstance(settings.get(key), int | float)
    )


def _unknown(results: Results, row: Summary) -> Iterator[str]:
    images = image_count(results)
    if images < _MANY_IMAGES:
        yield f"{text.count(images, 'test image')} give a rough mean: look at restored images before you rely on it."
    if len(row.finished) < 3:
        yield "How much another seed of training would change: at least three seeds tell."
    for gate in row.gates:
        if gate.result not in ("passed", "failed"):
            yield f"Whether limit `{text.printable(gate.name)}` is kept: {gates.reason(gate)}."
    yield "How it does on images with another camera, size, compression or damage."


def _use(files: Sequence[Path]) -> str:
    weights = next((file.name for file in files if file.suffix == ".safetensors"), "")
    code = f'from benchmark import load\n\nimage = load("{weights}").restore(array)  # H W 3, uint8 or float in [0, 1]'
    return f"```python\n{code}\n```\n\n```\npython -m benchmark restore {weights} my_images restored\n```"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = " | ".join("---" for _ in head)
    return "\n".join(f"| {line} |" for line in (" | ".join(head), rule, *(" | ".join(cells) for cells in lines)))
