"""What a network would take on a GPU that is not here: a range for each operator, from data sheets.

An operator takes at least what its operations take at the peak rate, and what its bytes take at the peak bandwidth
(Williams, Waterman & Patterson 2009). Real kernels reach a part of both, and each must be launched. So the low end
assumes peak rates, and that pointwise operators are fused away; the high end assumes shares of them that small networks
rarely fall below, and the launches of eager PyTorch. It is no measurement, and no gate passes by it.
"""

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from benchmark.errors import BenchmarkError
from benchmark.model import Restorer

_LEAST_RATE, _LEAST_BANDWIDTH = 0.15, 0.4
"""Shares of the peaks that the high end assumes."""
_LAUNCH_SECONDS = 8e-6
"""Of an operator of eager PyTorch, which the high end adds to each."""


@dataclass(frozen=True)
class Gpu:
    """Peaks of a GPU by its data sheet, without sparsity."""

    float32: float
    """Operations a second in float32, without tensor cores."""
    half: float
    """Operations a second in float16, and in bfloat16 where it has that, with tensor cores and float32 sums."""
    bandwidth: float
    """Bytes a second."""
    has_bfloat16: bool = True


GPUS: Mapping[str, Gpu] = {
    "H200": Gpu(67e12, 989e12, 4.8e12),
    "H100": Gpu(67e12, 989e12, 3.35e12),
    "A100": Gpu(19.5e12, 312e12, 1.555e12),
    "L40S": Gpu(91.6e12, 362e12, 0.864e12),
    "L4": Gpu(30.3e12, 121e12, 0.3e12),
    "A6000": Gpu(38.7e12, 155e12, 0.768e12),
    "A10": Gpu(31.2e12, 125e12, 0.6e12),
    "V100": Gpu(15.7e12, 125e12, 0.9e12, has_bfloat16=False),
    "T4": Gpu(8.1e12, 65e12, 0.32e12, has_bfloat16=False),
    "RTX4090": Gpu(82.6e12, 165e12, 1.008e12),
    "RTX3090": Gpu(35.6e12, 71e12, 0.936e12),
}
"""SXM modules where there are several; the A100 with 40 GB."""


@dataclass(frozen=True)
class Operator:
    """All calls of one operator in a pass: operations, bytes of its tensors in float32, and launches."""

    name: str
    flops: int
    bytes: int
    launches: int


@dataclass(frozen=True)
class Range:
    """Seconds, from what no GPU of the kind can be faster than to what few networks exceed."""

    low: float
    high: float

    def __mul__(self, factor: float) -> "Range":
        return Range(self.low * factor, self.high * factor)

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)


def find_gpu(name: str) -> Gpu:
    """Return a GPU by name, e.g. `H100` or `rtx 4090`. Raises BenchmarkError, with all names, if none has it."""
    plain = name.upper().replace(" ", "").replace("-", "")
    if plain not in GPUS:
        raise BenchmarkError(f"--for {name}: no data sheet of such a device; there are those of {', '.join(GPUS)}")
    return GPUS[plain]


def operators(restorer: Restorer, shape: tuple[int, int, int, int], *, training: bool) -> list[Operator]:
    """Return the operators of a pass, counted on the meta device: forward, and in training backward and AdamW, too.

    Args:
        restorer: The network, which stays as it is.
        shape: Of the images, `B 3 H W`.
        training: Whether it is a training step.
    """
    on_meta = copy.deepcopy(restorer).to("meta").train(training)
    counter = _Operators()
    with torch.set_grad_enabled(training), counter:
        restored = on_meta(torch.empty(shape, device="meta")).image
        if training:
            restored.mean().backward()
    counted = [
        Operator(name, counter.flops[name], counter.bytes[name], counter.launches[name]) for name in counter.launches
    ]
    if training:  # it reads weights, gradients and two moments, and writes all but the gradients
        weights = sum(parameter.numel() * parameter.element_size() for parameter in restorer.parameters())
        counted.append(Operator("adamw", 0, 7 * weights, 1))
    return counted


def time_range(counted: Iterable[Operator], gpu: Gpu, *, half: bool) -> Range:
    """Return the seconds that operators take. `half`: in half precision, whose tensors have half the bytes."""
    return sum((_time_of(operator, gpu, half=half) for operator in counted), Range(0.0, 0.0))


def _time_of(operator: Operator, gpu: Gpu, *, half: bool) -> Range:
    rate, size = (gpu.half, operator.bytes / 2) if half else (gpu.float32, operator.bytes)
    at_peak = max(operator.flops / rate, size / gpu.bandwidth) if operator.flops else 0.0
    at_least_rates = max(operator.flops / (_LEAST_RATE * rate), size / (_LEAST_BANDWIDTH * gpu.bandwidth))
    return Range(at_peak, at_least_rates + operator.launches * _LAUNCH_SECONDS)


class _Operators(TorchDispatchMode):
    """Counts operations, bytes and launches by operator; views launch nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.bytes, self.launches = Counter[str](), Counter[str](), Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = str(func.overloadpacket).removeprefix("aten.")
        if not func.is_view and name not in ("empty", "detach"):
            self.launches[name] += 1
            self.bytes[name] += _bytes_of([*tree_iter((args, kwargs or {})), *tree_iter(result)])
            if count := flop_registry.get(func.overloadpacket):
                self.flops[name] += count(*args, **(kwargs or {}), out_val=result)
        return result


def _bytes_of(values: Sequence[Any]) -> int:
    return sum(value.numel() * value.element_size() for value in values if isinstance(value, Tensor))
