"""`doctor`: is this installation sound?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benchmark.doctor import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "absent": "bright_black"}


@click.command("doctor")
@click.option(
    "--output", default="runs", type=click.Path(path_type=Path), help="Where runs are to go.  [default: runs]"
)
def command(output: Path) -> int:
    """Look at Python, torch, torchvision and timm, GPU, threads, memory, disk and optional runtimes of this machine.

    Each line has a verdict (ok, warn, fail, or absent for what is optional) and, where something can be mended, the
    line that mends it. Exit code 1 if anything fails.

    \b
    Examples:
      python -m benchmark doctor
      python -m benchmark doctor --output /data/runs
    """
    from benchmark.doctor import examine

    findings = examine(output)
    for finding in findings:
        _show(finding)
    failed, warned = (sum(finding.verdict == verdict for finding in findings) for verdict in ("fail", "warn"))
    click.echo(f"{failed} failed, {warned} warnings" if failed or warned else "sound")
    return 1 if failed else 0


def _show(finding: "Finding") -> None:
    verdict = click.style(f"{finding.verdict:<7}", fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict} {finding.name:<18} {finding.found}")
    if finding.mend:
        click.echo(f"{'':<26} -> {finding.mend}")
