"""`doctor`: is this installation sound?"""

from pathlib import Path

import click

from benchmark.errors import counted

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "absent": "bright_black"}


@click.command("doctor")
@click.option("--output", default="runs", type=click.Path(path_type=Path), help="Folder of runs.  [default: runs]")
def command(output: Path) -> int:
    """Check Python, torch, torchvision and timm, GPU, threads, memory, disk and optional runtimes of this machine.

    Each line has a verdict (ok, warn, fail, or absent for what is optional) and, where something can be mended, the
    command that mends it. Exit code 1 if anything fails.

    \b
    Examples:
      python -m benchmark doctor
      python -m benchmark doctor --output /data/runs
    """
    from benchmark.doctor import examine

    verdicts: list[str] = []
    for finding in examine(output):
        verdicts.append(finding.verdict)
        verdict = click.style(f"{finding.verdict:<7}", fg=_COLOURS[finding.verdict])
        click.echo(f"{verdict} {finding.name:<18} {finding.text}")
        if finding.mend:
            click.echo(f"{'':<26} -> {finding.mend}")
    failed, warned = verdicts.count("fail"), verdicts.count("warn")
    click.echo(f"{failed} failed, {counted(warned, 'warning')}" if failed or warned else "sound")
    return 1 if failed else 0
