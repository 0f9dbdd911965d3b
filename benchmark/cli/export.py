"""`export`: a trained network as a file for other programs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:  # torch comes in only when the command runs
    from benchmark.model import Restorer

_CHECKED_SIZE = 96, 64
"""Of the image that a file for any size is checked with, beside the one it was exported with."""
_TOLERANCE = {"float32": 0.5 / 255, "float16": 4 / 255}


@dataclass(frozen=True)
class _Request:
    record: Path
    format: Literal["safetensors", "onnx"]
    dtype: Literal["float32", "float16"]
    image: tuple[int, int] | None
    out: Path
    replace: bool
    plugins: tuple[Path, ...]


@click.command("export")
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "--format", type=click.Choice(["safetensors", "onnx"]), required=True, help="Weights, or the whole network."
)
@click.option("--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True)
@click.option(
    "--image", nargs=2, type=click.IntRange(1), metavar="H W", help="ONNX for this size only.  [default: any]"
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="File to write.")
@click.option("--replace", is_flag=True, help="Write over a file that is there.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A component of yours.")
def command(**options: Any) -> None:
    """Write the network of a trained row, whose folder is RECORD, as a file.

    safetensors holds the weights under this project's names, and in its header the model they belong to. onnx holds
    the whole network: input `degraded`, output `restored`, both 1 3 H W float32 in [0, 1], the output clamped. An ONNX
    file is checked against torch before it is written, if ONNX Runtime is installed.

    \b
    Examples:
      python -m benchmark export runs/quickstart/base/seed0 --format onnx --image 512 512 --out retouch.onnx
      python -m benchmark export runs/quickstart/base/seed0 --format safetensors --out retouch.safetensors
    """
    from benchmark.files import write_bytes

    request = _Request(**options)
    if request.format == "safetensors" and request.image:
        raise click.UsageError("--image belongs to --format onnx: weights are for images of any size")
    if request.out.exists() and not request.replace:
        raise click.UsageError(f"{request.out} is there already; name another with --out, or --replace it")
    content, details = _weights(request) if request.format == "safetensors" else _onnx(request)
    write_bytes(request.out, content)
    click.echo(f"{request.out}: {len(content):,} bytes, {request.dtype}{details}")


def _weights(request: _Request) -> tuple[bytes, str]:
    import torch

    from benchmark.experiment.weights import MODEL_IN_HEADER
    from benchmark.files import read_json
    from benchmark.model.build import architecture
    from benchmark.model.weight_files import weight_bytes

    restorer = _load(request)
    model = architecture(read_json(request.record / "record.json")["config"]["model"])
    dtype = torch.float16 if request.dtype == "float16" else torch.float32
    return weight_bytes(restorer, dtype, {MODEL_IN_HEADER: json.dumps(model)}), ""


def _onnx(request: _Request) -> tuple[bytes, str]:
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.inference.onnx import onnx_bytes
    from benchmark.model.restorer import fold

    prepare_machine("cpu")
    restorer = _load(request)
    size = request.image or (256, 256)
    content = onnx_bytes(fold(restorer), size, dynamic=request.image is None, dtype=request.dtype)
    for_size = f"images of {size[0]} x {size[1]} pixels" if request.image else "images of any size"
    return content, f", for {for_size}; {_check(request, content, restorer)}"


def _check(request: _Request, content: bytes, restorer: "Restorer") -> str:
    """Compare the file with torch and return the outcome. Raises BenchmarkError if they differ beyond rounding."""
    from benchmark.errors import missing_packages
    from benchmark.inference.onnx import largest_difference

    if missing := missing_packages(["onnxruntime"], "onnx"):
        return f"not checked: {missing}"
    sizes = [request.image] if request.image else [(256, 256), _CHECKED_SIZE]
    largest = max(largest_difference(content, restorer, size) for size in sizes)
    if largest > _TOLERANCE[request.dtype]:
        raise BenchmarkError(
            f"{request.out}: not written: ONNX Runtime's image differs from torch's by up to {largest:.3g} of [0, 1]"
        )
    return f"differs from torch by at most {largest:.1e} of [0, 1]"


def _load(request: _Request) -> "Restorer":
    from benchmark.model import load
    from benchmark.registry import Registry

    return load(request.record, Registry(request.plugins))
