"""`data render`: write pairs as PNG."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import click

from benchmark.cli.terminal import show_progress
from benchmark.errors import DataError, counted, system_error
from benchmark.processes import usable_cores

_SETTINGS_FILE = "rendered.json"
"""Holds the settings with which a folder was written; only a folder with this file may be overwritten."""
_DRAWN_COUNT, _DRAWN_SIZE_PX = 100, 512


@click.command("render")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the pairs.")
@click.option("--preset", type=click.Choice(["contest", "heavy", "severe"]), default="contest", show_default=True)
@click.option("--count", type=click.IntRange(min=1), help="Pairs.  [default: 100; with --clean each face once]")
@click.option("--size", type=int, help="Side in pixels.  [default: 512; with --clean as they are; none is enlarged]")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, other faces and spots."
)
@click.option("--maps", is_flag=True, help="Write maps/NAME.npz, too: float16 arrays gain (K) and spots (D).")
@click.option("--clean", type=click.Path(path_type=Path), metavar="FOLDER", help="Damage these faces, draw none.")
@click.option("--split", help="Only the faces of this split in splits.json of the --clean folder.")
@click.option("--masks", type=click.Path(path_type=Path), metavar="FOLDER", help="Masks of --clean: white is skin.")
@click.option("--force", is_flag=True, help="Delete the pairs that this command has written to --out before.")
def command(out: Path, maps: bool, force: bool, **options: Any) -> int:
    """Write pairs of faces with and without spots as PNG: degraded/NAME.png and target/NAME.png.

    The faces are drawn, or those of a folder of clean, aligned faces (--clean). Equal options give equal pixels.

    \b
    Examples:
      python -m benchmark data render --out faces
      python -m benchmark data render --preset severe --count 20 --size 256 --out faces --maps
      python -m benchmark data render --clean portraits --split train --count 200 --out faces/train
    """
    from benchmark.data.image_io import write_pairs
    from benchmark.data.sources import open_source
    from benchmark.registry import Registry

    settings = _settings(**options)
    source = open_source(settings, Registry())
    count = options["count"] or len(source)
    if count > len(source):  # more pairs than faces: several versions of each face
        source = open_source({**settings, "versions": -(-count // len(source))}, Registry())
    again = "fix that, then add --force to start again"
    started = time.perf_counter()
    _prepare(out, {"pairs": count, **settings}, force=force)
    try:
        show_progress(write_pairs(source, count, out, usable_cores(), with_maps=maps), count, "pair")
    except (DataError, OSError) as error:
        cause = system_error(error) if isinstance(error, OSError) else error
        raise DataError(f"{cause}; {out} is not complete: {again}") from None
    except KeyboardInterrupt:
        click.echo(f"interrupted; {out} is not complete; add --force to start again", err=True)
        return 130
    seconds = time.perf_counter() - started
    click.echo(f"{counted(count, 'pair')} in {out}, {seconds:.0f} s ({seconds / count:.2f} s a pair)", err=True)
    click.echo(_usage(out))
    return 0


def _settings(preset: str, count: int | None, size: int | None, seed: int, **clean: Any) -> dict[str, Any]:
    """Return the source to render, as an experiment would name it."""
    if clean["clean"] is None:
        if clean["split"] or clean["masks"]:
            raise click.UsageError("--split and --masks belong to --clean FOLDER")
        return {
            "source": "synthetic_faces",
            "preset": preset,
            "count": count or _DRAWN_COUNT,
            "size": _DRAWN_SIZE_PX if size is None else size,
            "seed": seed,
        }
    return {
        "source": "clean_folder",
        "folder": str(clean["clean"]),
        "preset": preset,
        "split": clean["split"],
        "versions": 1,
        "size": size,
        "seed": seed,
        "mask_folder": str(clean["masks"]) if clean["masks"] else None,
    }


def _prepare(out: Path, settings: dict[str, Any], *, force: bool) -> None:
    """Make an empty folder and write the settings into it; raise DataError if it holds anything else."""
    from benchmark.files import write_json

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / _SETTINGS_FILE).is_file():
            raise DataError(f"{out}: not an empty folder, and not written by `data render`; choose another --out")
        if not force:
            raise DataError(f"{out}: has pairs already; choose another --out, or --force to delete them")
        for role in ("degraded", "target", "maps"):
            shutil.rmtree(out / role, ignore_errors=True)
    write_json(out / _SETTINGS_FILE, settings)


def _usage(out: Path) -> str:
    """Return the lines of an experiment that train on these pairs."""
    folders = {role: json.dumps(str(out.resolve() / role), ensure_ascii=False) for role in ("degraded", "target")}
    return (
        "to train on them, write in your experiment file:\n\ndata:\n"
        f"  train: {{source: paired_folders, degraded: {folders['degraded']}, target: {folders['target']}}}"
    )
