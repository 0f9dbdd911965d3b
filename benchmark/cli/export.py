"""`export`: a trained network as a file for other programs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from benchmark.cli.options import plugin_option
from benchmark.errors import BenchmarkError, RuntimeUnavailable

if TYPE_CHECKING:  # torch is imported only when the command runs
    from benchmark.model import Restorer

Dtype = Literal["float32", "float16"]

_CHECK_SIZES = ((256, 256), (96, 64))
"""Of the images that a file for any size is checked with, beside its smallest; it is exported with the first."""
_TOLERANCE = {"float32": 0.5 / 255, "float16": 4 / 255}


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
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="File to write.")
@click.option("--replace", is_flag=True, help="Overwrite a file that exists.")
@plugin_option
def command(
    record: Path,
    file_format: Literal["safetensors", "onnx"],
    dtype: Dtype,
    image: tuple[int, int] | None,
    out: Path,
    replace: bool,
    plugins: tuple[Path, ...],
) -> None:
    """Write the network of a trained row, whose folder is RECORD, as a file.

    safetensors holds the weights under this project's names, and in its header the model they belong to. onnx holds
    the whole network: input `degraded`, output `restored`, both 1 3 H W float32 in [0, 1], the output clamped. An ONNX
    file is checked against torch before it is written, if ONNX Runtime is installed. Without --image it takes images
    of any size from a smallest one on, which is printed and stands in its metadata as `smallest_side`.

    \b
    Examples:
      python -m benchmark export runs/quickstart/base/seed0 --format onnx --image 512 512 --out retouch.onnx
      python -m benchmark export runs/quickstart/base/seed0 --format safetensors --out retouch.safetensors
    """
    import torch

    from benchmark.experiment.weights import MODEL_IN_HEADER
    from benchmark.files import write_bytes
    from benchmark.model import load
    from benchmark.model.build import architecture, recorded_config
    from benchmark.model.weight_files import weight_bytes
    from benchmark.registry import Registry

    if file_format == "safetensors" and image:
        raise click.UsageError("--image belongs to --format onnx: weights are for images of any size")
    if out.exists() and not replace:
        raise click.UsageError(f"{out} exists already; choose another file with --out, or add --replace")
    restorer = load(record, Registry(plugins))
    if file_format == "safetensors":
        model = architecture(recorded_config(record)["model"])
        content, details = weight_bytes(restorer, getattr(torch, dtype), {MODEL_IN_HEADER: json.dumps(model)}), ""
    else:
        content, details = _onnx(restorer, dtype, image, out)
    write_bytes(out, content)
    click.echo(f"{out}: {len(content):,} bytes, {dtype}{details}")


def _onnx(restorer: "Restorer", dtype: Dtype, image: tuple[int, int] | None, out: Path) -> tuple[bytes, str]:
    """Return the ONNX file and what to say of it. Raises BenchmarkError if its image differs from torch's."""
    from benchmark.errors import missing_packages
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.inference.onnx import largest_difference, onnx_bytes, smallest_side
    from benchmark.model.restorer import fold

    prepare_machine("cpu")
    least = smallest_side(restorer)
    sizes = [image] if image else (*_CHECK_SIZES, (least, least))
    content = onnx_bytes(fold(restorer), sizes[0], dynamic=image is None, dtype=dtype)
    fitting = f"{image[0]} x {image[1]} pixels" if image else f"any size from {least} x {least} pixels"
    for_size = f", for images of {fitting}"
    if missing := missing_packages(["onnxruntime"], "onnx"):
        return content, f"{for_size}; not checked: {missing}"
    try:
        largest = max(largest_difference(content, restorer, size) for size in sizes)
    except RuntimeUnavailable as error:
        hint = "" if image else "; --image H W writes a file for one size"
        raise BenchmarkError(f"{out}: not written: {error}{hint}") from error
    if largest > _TOLERANCE[dtype]:
        raise BenchmarkError(
            f"{out}: not written: ONNX Runtime's image differs from torch's by up to {largest:.3g} of [0, 1]"
        )
    return content, f"{for_size}; differs from torch by at most {largest:.1e} of [0, 1]"
