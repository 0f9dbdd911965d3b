"""`data check`: what would spoil a comparison, and what the degradation consists of."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import plugin_option
from benchmark.cli.terminal import show_progress
from benchmark.errors import DataError, counted, shown
from benchmark.processes import usable_cores

if TYPE_CHECKING:  # numpy, scipy and pydantic come in only when the command runs
    from benchmark.audit import Finding
    from benchmark.audit.measurements import Folders, MeasuredPair

_RECORD = "audit.json"
_SHOWN_CASES = 8


@dataclass(frozen=True)
class _Audit:
    """What is audited: `measure(index)` for `count` pairs."""

    name: str
    origins: tuple[str, ...]
    count: int
    measure: "Callable[[int], MeasuredPair]"
    folders: "Folders | None" = None
    shared: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


@click.command("check")
@click.argument("paths", nargs=-1, required=True, metavar="DEGRADED TARGET | FILE", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder of the page.  [default: runs/data_check/<name>]"
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes that read images.  [default: one a core]")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override any setting of the experiment.")
@plugin_option
def command(
    paths: tuple[Path, ...], output: Path | None, workers: int | None, sets: tuple[str, ...], plugins: tuple[Path, ...]
) -> int:
    """Look for what would spoil a comparison in two folders of pairs, or in the data of the experiment in FILE.

    Images without partner, of different sizes, unreadable, shifted, swapped, in two splits; colour profiles, bit
    depths, traces of JPEG. Then what the degradation consists of, as a page with figures, and of two folders an
    experiment that is ready to run. Nothing is changed in the folders. Exit code 1: something would spoil a comparison.

    \b
    Examples:
      python -m benchmark data check pairs/degraded pairs/target
      python -m benchmark data check pairs/degraded pairs/target --output runs/my_pairs
      python -m benchmark data check experiments/quickstart.yaml
    """
    from benchmark.audit.checks import as_data, find_all
    from benchmark.data.image_io import parallel_map
    from benchmark.files import write_json
    from reports.pages.audit_page import write

    if len(paths) == 2 and not sets:
        audit = _of_folders(*paths)
    elif len(paths) == 1 and not paths[0].is_dir():
        audit = _of_experiment(paths[0], sets, plugins)
    else:
        raise click.UsageError("name the folder of degraded and that of target images, or the FILE of an experiment")
    output = output or Path("runs/data_check") / audit.name
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not (output / _RECORD).is_file())):
        raise DataError(f"{output}: not an empty folder, and not written by `data check`; choose another --output")
    started = time.perf_counter()
    measuring = parallel_map(audit.measure, audit.count, workers or usable_cores(), plugins)
    pairs = show_progress(measuring, audit.count, "pair")
    seconds = time.perf_counter() - started
    findings = find_all(pairs, audit.folders, audit.shared)
    _show(findings)
    # The record first: it marks the folder as this command's own.
    write_json(output / _RECORD, as_data(audit.name, audit.origins, pairs, findings, ""))
    text = _write_starter(audit, pairs, findings, output)
    write_json(output / _RECORD, as_data(audit.name, audit.origins, pairs, findings, text))
    page = write(output)
    click.echo(
        f"{counted(audit.count, 'pair')} in {seconds:.0f} s ({seconds / max(audit.count, 1):.2f} s a pair)", err=True
    )
    click.echo(f"page: {page}")
    return 1 if any(finding.severity == "error" for finding in findings) else 0


def _of_folders(degraded: Path, target: Path) -> _Audit:
    from benchmark.audit.measurements import match_folders, measure_files
    from benchmark.audit.starter_experiment import safe_name

    folders = match_folders(degraded, target)
    if degraded.samefile(target):
        raise DataError(f"{degraded}: given as degraded and as target; a pair needs an image from each of two folders")
    for folder, listing in ((degraded, folders.degraded), (target, folders.target)):
        click.echo(f"{shown(str(folder))}: {listing}")
    measure = partial(measure_files, folders.pairs)
    name = safe_name(degraded.resolve().parent.name)
    return _Audit(name, (str(degraded), str(target)), len(folders.pairs), measure, folders)


def _of_experiment(file: Path, sets: tuple[str, ...], plugins: tuple[Path, ...]) -> _Audit:
    from benchmark.audit.measurements import measure_sources
    from benchmark.data.sources import open_source
    from benchmark.data.split_leakage import shared_subjects
    from benchmark.experiment.load import load
    from benchmark.registry import Registry

    registry = Registry(plugins)
    experiment = load(file, registry, sets)
    sources = {split: open_source(spec, registry) for split, spec in experiment.rows[0].recipe.sources.items()}
    measure = partial(measure_sources, tuple(sources.items()))
    count = sum(map(len, sources.values()))
    return _Audit(experiment.name, (str(file),), count, measure, shared=shared_subjects(sources))


def _show(findings: "Sequence[Finding]") -> None:
    headings = {"error": "errors, which spoil a comparison", "warning": "warnings, which may be intended"}
    for severity, heading in headings.items():
        listed = [finding for finding in findings if finding.severity == severity]
        click.echo(f"{heading}: {sum(len(finding.cases) for finding in listed) or 'none'}")
        for finding in listed:
            click.echo(f"  {finding.title} ({len(finding.cases)}): {finding.advice}")
            for case in finding.cases[:_SHOWN_CASES]:
                click.echo(f"    {shown(case.pair)}{': ' if case.detail else ''}{shown(case.detail)}")
            if len(finding.cases) > _SHOWN_CASES:
                click.echo(f"    and {len(finding.cases) - _SHOWN_CASES} more, see the page")


def _write_starter(audit: _Audit, pairs: "Sequence[MeasuredPair]", findings: "Sequence[Finding]", output: Path) -> str:
    """Write the starter experiment and its folders of links, and return its text; empty if there is none."""
    from benchmark.audit import starter_experiment
    from benchmark.audit.measurements import PairMeasurements
    from benchmark.files import write_text

    if audit.folders is None:
        return ""
    excluded = {case.pair for finding in findings if finding.severity == "error" for case in finding.cases}
    usable = [pair for pair in pairs if isinstance(pair, PairMeasurements) and pair.name not in excluded]
    splits = starter_experiment.split_pairs(usable)
    file = output / "experiment.yaml"
    if splits is None:
        file.unlink(missing_ok=True)
        click.echo("no experiment written: it needs three different pictures without errors")
        return ""
    starter_experiment.link_pairs(splits, audit.folders.pairs, output)
    smallest = min(side for pair in usable for side in (pair.height, pair.width))
    text = starter_experiment.experiment_text(audit.name, splits, smallest)
    write_text(file, text)
    click.echo(f"ready to run: python -m benchmark run {file}")
    return text
