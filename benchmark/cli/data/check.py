"""`data check`: what would spoil a comparison, and what the degradation consists of."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.progress import show_progress
from benchmark.errors import DataError

if TYPE_CHECKING:  # numpy, scipy and pydantic come in only when the command runs
    from benchmark.audit import Finding
    from benchmark.audit.files import Folders
    from benchmark.audit.pair_statistics import Measured
    from benchmark.data.pairing import PairedFiles

_RECORD = "audit.json"
_SHOWN_CASES = 8


@dataclass(frozen=True)
class _Work:
    """What is audited: `measure(index)` for `count` pairs."""

    name: str
    origins: tuple[str, ...]
    count: int
    measure: "Callable[[int], Measured]"
    folders: "Folders | None" = None
    shared: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


@click.command("check")
@click.argument("paths", nargs=-1, required=True, metavar="DEGRADED TARGET | FILE", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder of the page.  [default: runs/data_check/<name>]"
)
@click.option("--workers", type=click.IntRange(1), help="Processes that read images.  [default: one a core]")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Override any setting of the experiment.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A component of yours.")
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
    from benchmark.audit.checks import find_all

    work = _work(paths, sets, plugins)
    output = output or Path("runs/data_check") / work.name
    _check_output(output)
    started = time.perf_counter()
    measured = _measured(work, workers, plugins)
    seconds = time.perf_counter() - started
    findings = find_all(measured, work.folders, work.shared)
    _show(findings)
    page = _write(work, measured, findings, output)
    click.echo(f"{work.count} pairs in {seconds:.0f} s ({seconds / max(work.count, 1):.2f} s a pair)", err=True)
    click.echo(f"page: {page}")
    return 1 if any(finding.severity == "spoils" for finding in findings) else 0


def _work(paths: tuple[Path, ...], sets: tuple[str, ...], plugins: tuple[Path, ...]) -> _Work:
    if len(paths) == 2 and not sets:
        return _folders(*paths)
    if len(paths) == 1 and not paths[0].is_dir():
        return _experiment(paths[0], sets, plugins)
    raise click.UsageError("name the folder of degraded and that of target images, or the FILE of an experiment")


def _folders(degraded: Path, target: Path) -> _Work:
    from benchmark.audit.files import match
    from benchmark.audit.pair_statistics import measure_files
    from benchmark.audit.starter_experiment import safe_name

    folders = match(degraded, target)
    if degraded.samefile(target):
        raise DataError(f"{degraded}: given as degraded and as target; a pair needs an image from each of two folders")
    name = safe_name(degraded.resolve().parent.name)
    count = len(folders.pairs)
    return _Work(name, (str(degraded), str(target)), count, partial(measure_files, folders.pairs), folders)


def _experiment(file: Path, sets: tuple[str, ...], plugins: tuple[Path, ...]) -> _Work:
    from benchmark.audit.pair_statistics import measure_sources
    from benchmark.data.sources import open_source
    from benchmark.data.split_leakage import shared_subjects
    from benchmark.experiment.load import load
    from benchmark.registry import Registry

    registry = Registry(plugins)
    experiment = load(file, registry, sets)
    splits = experiment.rows[0].config["data"]
    sources = tuple((split, open_source(splits[split], registry)) for split in ("train", "val", "test"))
    count = sum(len(source) for _, source in sources)
    shared = shared_subjects(dict(sources))
    return _Work(experiment.name, (str(file),), count, partial(measure_sources, sources), shared=shared)


def _measured(work: _Work, workers: int | None, plugins: Sequence[Path]) -> "list[Measured]":
    from benchmark.data.image_io import parallel_map
    from benchmark.processes import usable_cores

    found: list[Measured] = []

    def reading() -> Iterator[int]:
        for one in parallel_map(work.measure, work.count, workers or usable_cores(), plugins):
            found.append(one)
            yield len(found)

    show_progress(reading(), work.count, "pair")
    return found


def _check_output(output: Path) -> None:
    """Raises DataError if there is something in the folder that this command did not write."""
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not (output / _RECORD).is_file())):
        raise DataError(f"{output}: not an empty folder, and not written by `data check`; choose another --output")


def _show(findings: "Sequence[Finding]") -> None:
    headings = {"spoils": "spoils a comparison", "look": "worth a look"}
    for severity, heading in headings.items():
        chosen = [finding for finding in findings if finding.severity == severity]
        click.echo(f"{heading}: {sum(len(finding.cases) for finding in chosen) or 'nothing'}")
        for finding in chosen:
            click.echo(f"  {finding.title} ({len(finding.cases)}): {finding.advice}")
            for case in finding.cases[:_SHOWN_CASES]:
                click.echo(f"    {_safe(case.pair)}{': ' if case.detail else ''}{_safe(case.detail)}")
            if len(finding.cases) > _SHOWN_CASES:
                click.echo(f"    and {len(finding.cases) - _SHOWN_CASES} more, see the page")


def _safe(text: str) -> str:
    """Text of others without what a terminal would obey or cannot write."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _write(work: _Work, measured: "Sequence[Measured]", findings: "Sequence[Finding]", output: Path) -> Path:
    from benchmark.audit.record import as_data
    from benchmark.files import write_json
    from reports.errors import ReportError
    from reports.pages.audit import write

    # The record first: it marks the folder as this command's own.
    write_json(output / _RECORD, as_data(work.name, work.origins, measured, findings, ""))
    text = _starter(work.name, work.folders.pairs, measured, findings, output) if work.folders else ""
    write_json(output / _RECORD, as_data(work.name, work.origins, measured, findings, text))
    try:
        return write(output)
    except ReportError as error:
        raise DataError(str(error)) from None


def _starter(
    name: str,
    pairs: "Sequence[PairedFiles]",
    measured: "Sequence[Measured]",
    findings: "Sequence[Finding]",
    output: Path,
) -> str:
    """Write the experiment and its folders of links; empty where too few pairs are fit for one."""
    from benchmark.audit import starter_experiment
    from benchmark.audit.pair_statistics import Measures
    from benchmark.files import write_text

    spoilt = {case.pair for finding in findings if finding.severity == "spoils" for case in finding.cases}
    usable = [one for one in measured if isinstance(one, Measures) and one.name not in spoilt]
    splits = starter_experiment.split(usable)
    file = output / "experiment.yaml"
    if splits is None:
        file.unlink(missing_ok=True)
        click.echo("no experiment written: it needs three different pictures that nothing spoils")
        return ""
    starter_experiment.link(splits, pairs, output)
    smallest = min(side for one in usable for side in (one.height, one.width))
    text = starter_experiment.experiment(name, splits, smallest)
    write_text(file, text)
    click.echo(f"ready to run: python -m benchmark run {file}")
    return text
