"""`export`: a trained network as a file for other programs."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from benchmark.cli.options import plugin_option
from benchmark.errors import BenchmarkError, RecordError, RuntimeUnavailable, printable, system_error

if TYPE_CHECKING:  # torch is imported only when the command runs
    from benchmark.model import Restorer
    from reports.schema import ArtefactCheck

Dtype = Literal["float32", "float16"]

_CHECK_SIZES = ((256, 256), (101, 155), (96, 64))
"""Of the images that a file for any size is checked with, beside its smallest; it is exported with the first."""
_TOLERANCE = {"float32": 0.5 / 255, "float16": 4 / 255}


@dataclass(frozen=True)
class _Exported:
    """The content of a file, what to say of it, and what it is like in the installed runtimes."""

    content: bytes
    lines: "Sequence[str]" = ()
    checks: "Sequence[ArtefactCheck]" = ()


@click.command("export")
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["safetensors", "onnx"]),
    required=True,
    help="Weights, or the whole network.",
)
@click.option("--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True)
@click.option(
    "--image", nargs=2, type=click.IntRange(1, 100_000), metavar="H W", help="ONNX for this size only.  [default: any]"
)
@click.option("--uint8", "is_uint8", is_flag=True, help="ONNX with uint8 images 1 H W 3 in and out.")
@click.option("--folded", is_flag=True, help="safetensors folded for inference: what the size gate weighs.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="File to write.")
@click.option("--replace", is_flag=True, help="Overwrite a file that exists.")
@plugin_option
def command(
    record: Path,
    file_format: Literal["safetensors", "onnx"],
    dtype: Dtype,
    image: tuple[int, int] | None,
    is_uint8: bool,
    folded: bool,
    out: Path,
    replace: bool,
    plugins: tuple[Path, ...],
) -> None:
    """Write the network of a trained row, whose folder is RECORD, as a file.

    safetensors holds the weights under this project's names, and in its header the model they belong to; with --folded
    those of the network folded for inference, which cannot be trained further. Of a row in 8 bits, onnx is the file
    that the row was scored with. Else onnx holds the whole network: input `degraded`, output `restored`, both 1 3 H W
    float32 in [0, 1], the output clamped; with --uint8 both 1 H W 3 uint8, as files are decoded. Padding is part of the
    network. Before an ONNX file is written, it is checked against torch in the runtimes that are installed (ONNX
    Runtime, OpenVINO), on a photograph at several sizes. Without --image it takes images of any size from a smallest
    one on, which is printed and stands in its metadata as `smallest_side`; the free axes are called `height` and
    `width`. The record of the row keeps the SHA-256 of the file, with its checks.

    \b
    Examples:
      python -m benchmark export runs/quickstart/base/seed0 --format onnx --image 512 512 --out retouch.onnx
      python -m benchmark export runs/quickstart/base --format onnx --uint8 --dtype float16 --out retouch.onnx
      python -m benchmark export runs/quickstart/base/seed0 --format safetensors --out retouch.safetensors
    """
    import torch

    from benchmark.experiment.weights import MODEL_IN_HEADER
    from benchmark.files import write_bytes
    from benchmark.inference.int8 import FILE
    from benchmark.model import load
    from benchmark.model.build import architecture, record_folder, recorded_config
    from benchmark.model.restorer import fold
    from benchmark.model.weight_files import weight_bytes
    from benchmark.registry import Registry

    if folded and file_format == "onnx":
        raise click.UsageError("--folded belongs to --format safetensors: an ONNX file is always folded")
    if file_format == "safetensors" and (image or is_uint8):
        raise click.UsageError("--image and --uint8 belong to --format onnx: weights are for images of any size")
    if out.exists() and not replace:
        raise click.UsageError(f"{out} exists already; choose another file with --out, or add --replace")
    restorer = load(record, Registry(plugins))
    if file_format == "safetensors":
        model = architecture(recorded_config(record_folder(record))["model"])
        network = fold(restorer) if folded else restorer
        exported = _Exported(weight_bytes(network, getattr(torch, dtype), {MODEL_IN_HEADER: json.dumps(model)}))
    elif (record_folder(record) / FILE).is_file():
        if image or is_uint8 or dtype != "float32":
            raise click.UsageError(
                f"{record} ships a file in 8 bits for any size; leave --image, --uint8 and --dtype out"
            )
        content = _stored_file(record_folder(record))
        click.echo(f"{out}: {len(content):,} bytes, int8, the file that the row was scored with")
        write_bytes(out, content)
        return
    else:
        sizes = "for one size" if image else "for any size, which takes minutes for a large network"
        click.echo(f"writing the network as ONNX {sizes}, then checking it in the installed runtimes ...", err=True)
        exported = _onnx(restorer, dtype, image, is_uint8=is_uint8, out=out)
    write_bytes(out, exported.content)
    what = "".join((f"{out}: {len(exported.content):,} bytes, {dtype}", *exported.lines[:1]))
    click.echo("\n  ".join((what, *exported.lines[1:])))
    if file_format == "safetensors" and record.is_dir() and (record_folder(record) / FILE).is_file():
        click.echo(
            "  the row was scored in 8 bits; these are its weights before that: --format onnx writes what was scored"
        )
    _note_artefact(record_folder(record), out, file_format, dtype, exported)


def _note_artefact(
    folder: Path, out: Path, file_format: Literal["safetensors", "onnx"], dtype: Dtype, exported: _Exported
) -> None:
    """Note the file in the record of its row; say so where that cannot be written, or where there is no row."""
    from benchmark.runner.row_leases import add_artefact
    from reports.schema import Artefact

    digest = hashlib.sha256(exported.content).hexdigest()
    artefact = Artefact(
        file=printable(out.name),
        format=file_format,
        dtype=dtype,
        bytes=len(exported.content),
        sha256=digest,
        checks=tuple(exported.checks),
    )
    noted = ""
    if folder.is_dir():
        try:
            add_artefact(folder, artefact)
            noted = f", noted in {folder / 'record.json'}"
        except OSError as error:  # e.g. runs of another user
            noted = f", not noted in the record: {system_error(error)}"
    click.echo(f"  SHA-256 {digest}{noted}")


def _stored_file(folder: Path) -> bytes:
    """Return the file in 8 bits of a trained row. Raises RecordError if a file of the row is damaged."""
    from benchmark.inference.int8 import FILE
    from benchmark.runner.record_writer import damaged_file

    if damaged := damaged_file(folder):
        raise RecordError(
            f"{damaged}: is missing or damaged: its SHA-256 is not the one in record.json; run that row again"
        )
    return (folder / FILE).read_bytes()


def _onnx(restorer: "Restorer", dtype: Dtype, image: tuple[int, int] | None, *, is_uint8: bool, out: Path) -> _Exported:
    """Return the ONNX file with its checks. Raises BenchmarkError if its image differs from torch's."""
    from benchmark.evaluation.onnx_check import check_file, installed_runtimes
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.inference.onnx import onnx_bytes, smallest_side
    from benchmark.model.restorer import fold
    from benchmark.registry import Registry
    from reports.schema import ArtefactCheck

    prepare_machine("cpu")
    least = smallest_side(restorer)
    sizes = [image] if image else [*_CHECK_SIZES, (least, least)]
    content = onnx_bytes(fold(restorer), sizes[0], dynamic=image is None, dtype=dtype, in_levels=is_uint8)
    fitting = f"{image[0]} x {image[1]} pixels" if image else f"any size from {least} x {least} pixels"
    lines = [f", for images of {fitting}{', uint8 1 H W 3' if is_uint8 else ''}"]
    photograph = Registry().create("source", "photographs", {"preset": "severe"}).read(0)
    tolerance = 255 * _TOLERANCE[dtype] + (0.5 if is_uint8 else 0)  # a level more where rounding goes the other way
    noted: list[ArtefactCheck] = []
    runtimes = installed_runtimes()
    for runtime in runtimes:
        try:
            checks = check_file(runtime, content, restorer, photograph, sizes, is_uint8=is_uint8)
        except RuntimeUnavailable as error:
            if runtime != runtimes[0]:
                lines.append(str(error))
                continue
            hint = "" if image else "; --image H W writes a file for one size"
            raise BenchmarkError(f"{out}: not written: {error}{hint}") from error
        if (largest := max(check.levels for check in checks)) > tolerance:
            raise BenchmarkError(
                f"{out}: not written: {runtime}'s image differs from torch's by up to {largest:.3g} levels of 255"
            )
        noted += [
            ArtefactCheck(
                runtime=runtime,
                image=check.size,
                levels=check.levels,
                loss_db=check.loss_db,
                milliseconds=check.milliseconds,
            )
            for check in checks
        ]
        lines += [
            f"{runtime}, {check.size[0]} x {check.size[1]}: differs from torch by at most {check.levels:.2g} levels of "
            f"255, loses {check.loss_db:.4f} dB, {check.milliseconds:.1f} ms"
            for check in checks
        ]
    if not runtimes:
        lines[0] += "; not checked: no runtime is installed; pip install 'restoration-benchmark[onnx]'"
    return _Exported(content, lines, noted)
