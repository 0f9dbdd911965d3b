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
    from benchmark.audit.measurements import Folders, MeasuredPair, PairMeasurements
    from benchmark.audit.starter_experiment import Splits

STARTER = "experiment.yaml"
"""Beside the page."""
_RECORD = "audit.json"
_HEADER = """\
Written by `data check`. Steps are few: enough to see that all works; raise them for an answer that holds, or let
`python -m benchmark auto DEGRADED TARGET` choose networks, steps and rates by a budget."""
_GATES = ("size: {limit_bytes: 10_000_000}",)
_SHOWN_CASES = 8


@dataclass(frozen=True)
class Audit:
    """What is audited: `measure(index)` for `count` pairs."""

    name: str
    origins: tuple[str, ...]
    count: int
    measure: "Callable[[int], MeasuredPair]"
    folders: "Folders | None" = None
    shared: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckedPairs:
    """What an audit gave. `usable`: the pairs without errors; `splits`: None where they are too few to be split."""

    page: Path
    has_errors: bool
    usable: "Sequence[PairMeasurements]"
    splits: "Splits | None"


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
    if len(paths) == 2 and not sets:
        audit = audit_of_folders(*paths)
    elif len(paths) == 1 and not paths[0].is_dir():
        audit = _of_experiment(paths[0], sets, plugins)
    else:
        raise click.UsageError("name the folder of degraded and that of target images, or the FILE of an experiment")
    checked = run_audit(audit, output or Path("runs/data_check") / audit.name, workers, plugins)
    if checked.splits:
        click.echo(f"ready to run: python -m benchmark run {checked.page.with_name(STARTER)}")
    click.echo(f"page: {checked.page}")
    return int(checked.has_errors)


def run_audit(audit: Audit, output: Path, workers: int | None = None, plugins: tuple[Path, ...] = ()) -> CheckedPairs:
    """Measure all pairs, print what would spoil a comparison, and write page, record and starter experiment.

    Args:
        audit: What is audited.
        output: The folder to write; what an earlier audit wrote there is replaced.
        workers: Processes that read images; None: one a core.
        plugins: Files with components of the user.

    Raises:
        DataError: `output` holds something else.
    """
    from benchmark.audit.checks import as_data, find_all
    from benchmark.audit.measurements import PairMeasurements
    from benchmark.data.image_io import parallel_map
    from benchmark.files import write_json
    from reports.pages.audit_page import write

    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not (output / _RECORD).is_file())):
        raise DataError(f"{output}: not an empty folder, and not written by `data check`; choose another --output")
    started = time.perf_counter()
    measuring = parallel_map(audit.measure, audit.count, workers or usable_cores(), plugins)
    pairs = show_progress(measuring, audit.count, "pair")
    seconds = time.perf_counter() - started
    findings = find_all(pairs, audit.folders, audit.shared)
    _show(findings)
    errors = {case.pair for finding in findings if finding.severity == "error" for case in finding.cases}
    usable = [pair for pair in pairs if isinstance(pair, PairMeasurements) and pair.name not in errors]
    # The record first: it marks the folder as this command's own.
    write_json(output / _RECORD, as_data(audit.name, audit.origins, pairs, findings, ""))
    splits, text = _write_starter(audit, usable, output)
    write_json(output / _RECORD, as_data(audit.name, audit.origins, pairs, findings, text))
    page = write(output)
    click.echo(
        f"{counted(audit.count, 'pair')} in {seconds:.0f} s ({seconds / max(audit.count, 1):.2f} s a pair)", err=True
    )
    return CheckedPairs(page, any(finding.severity == "error" for finding in findings), usable, splits)


def audit_of_folders(degraded: Path, target: Path) -> Audit:
    """Match the images of two folders, and print what each holds.

    Raises:
        DataError: A folder has no images, or both are the same.
    """
    from benchmark.audit.measurements import match_folders, measure_files
    from benchmark.audit.starter_experiment import safe_name

    folders = match_folders(degraded, target)
    if degraded.samefile(target):
        raise DataError(f"{degraded}: given as degraded and as target; a pair needs an image from each of two folders")
    for folder, listing in ((degraded, folders.degraded), (target, folders.target)):
        click.echo(f"{shown(str(folder))}: {listing}")
    measure = partial(measure_files, folders.pairs)
    name = safe_name(degraded.resolve().parent.name)
    return Audit(name, (str(degraded), str(target)), len(folders.pairs), measure, folders)


def _of_experiment(file: Path, sets: tuple[str, ...], plugins: tuple[Path, ...]) -> Audit:
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
    return Audit(experiment.name, (str(file),), count, measure, shared=shared_subjects(sources))


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


def _write_starter(audit: Audit, usable: "Sequence[PairMeasurements]", output: Path) -> "tuple[Splits | None, str]":
    """Write the starter experiment and its folders of links; return the splits and its text, if there is one."""
    from benchmark.audit.starter_experiment import link_pairs, split_pairs
    from benchmark.audit.starter_recipe import FEW_STEPS, recipe_text, traits_of
    from benchmark.files import write_text

    if audit.folders is None:
        return None, ""
    splits = split_pairs(usable)
    file = output / STARTER
    if splits is None:
        file.unlink(missing_ok=True)
        click.echo("no experiment written: it needs three different pictures without errors")
        return None, ""
    link_pairs(splits, audit.folders.pairs, output)
    text = recipe_text(_HEADER, audit.name, splits, traits_of(usable), FEW_STEPS, _GATES)
    write_text(file, text)
    return splits, text
