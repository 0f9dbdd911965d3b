"""Check an ONNX file against torch, in a runtime, on a photograph, at several sizes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.data import Pair, in_levels, to_levels
from benchmark.errors import RuntimeUnavailable, missing_packages, root_cause
from benchmark.evaluation.metrics.psnr import decibels
from benchmark.inference.onnx import INPUT, OUTPUT
from benchmark.inference.onnx_runtimes import open_request, open_session
from benchmark.inference.prepared_network import ImageNetwork
from benchmark.model import Restorer

Run = Callable[[NDArray[Any]], NDArray[Any]]
"""From the file's input to its output."""


@dataclass(frozen=True)
class SizeCheck:
    """A file beside torch in float32, on one image of one size.

    Attributes:
        size: Height and width of the image.
        levels: Largest difference between the two restored images, in 8-bit levels, before rounding where the file
            gives floats.
        loss_db: PSNR of torch's image to the true one, less that of the file's image, both rounded to 8 bits.
        milliseconds: Of the second call in this runtime, with as many threads as torch has.
    """

    size: tuple[int, int]
    levels: float
    loss_db: float
    milliseconds: float


def installed_runtimes() -> tuple[str, ...]:
    """Return the runtimes that can run a file here."""
    packages = {"ONNX Runtime": ("onnxruntime", "onnx"), "OpenVINO": ("openvino", "openvino")}
    return tuple(name for name, (package, extra) in packages.items() if not missing_packages([package], extra))


def check_file(
    runtime: str, content: bytes, restorer: Restorer, pair: Pair, sizes: Sequence[tuple[int, int]], *, is_uint8: bool
) -> list[SizeCheck]:
    """Return the checks of a file in a runtime.

    Args:
        runtime: One of `installed_runtimes`.
        content: The file.
        restorer: What it was made from.
        pair: A photograph; it is repeated, mirrored, where a size is larger, and cut where one is smaller.
        sizes: Heights and widths.
        is_uint8: Whether the file takes and gives uint8 `1 H W 3`.

    Raises:
        RuntimeUnavailable: The runtime cannot read the file, or cannot run it for a size.
    """
    network, run = ImageNetwork(restorer).cpu(), _opened(runtime, content)
    checks: list[SizeCheck] = []
    for size in sizes:
        degraded, target = (_of_size(image, size) for image in (in_levels(np.array(pair.degraded)), pair.target))
        given = degraded[None] if is_uint8 else _unit(degraded)
        try:
            run(given)
            start = time.perf_counter()
            restored = run(given)
            milliseconds = 1000 * (time.perf_counter() - start)
        except Exception as error:  # their errors have no common class
            raise RuntimeUnavailable(
                f"{runtime}: cannot run this network on {size[0]} x {size[1]} pixels: {root_cause(error)}"
            ) from error
        with torch.inference_mode():
            expected = network(torch.from_numpy(_unit(degraded)))[0].permute(1, 2, 0).numpy() * 255
        levels = restored[0].astype(np.float32) if is_uint8 else restored[0].transpose(1, 2, 0) * 255
        difference = np.abs(levels - (to_levels(expected) if is_uint8 else expected)).max()
        loss = _psnr(to_levels(expected), target) - _psnr(to_levels(levels), target)
        checks.append(SizeCheck(size, float(difference), loss, milliseconds))
    return checks


def _opened(runtime: str, content: bytes) -> Run:
    if runtime == "ONNX Runtime":
        session = open_session(content, ["CPUExecutionProvider"])
        return lambda image: session.run([OUTPUT], {INPUT: image})[0]
    request = open_request(content)
    return lambda image: np.array(request.infer({INPUT: image})[0])


def _of_size(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    missing = [(0, max(side - length, 0)) for side, length in zip(size, image.shape[:2], strict=True)]
    return np.ascontiguousarray(np.pad(image, (*missing, (0, 0)), mode="symmetric")[: size[0], : size[1]])


def _unit(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))


def _psnr(image: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    return decibels(255**2, float(np.square(image.astype(np.float64) - target).mean()))
