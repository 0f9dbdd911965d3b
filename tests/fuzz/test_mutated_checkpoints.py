"""Checkpoints damaged at random: imported with sound numbers, or refused in one line; no hang, no flood of memory."""

import io
import resource
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import Tensor

from benchmark.errors import CheckpointError
from benchmark.model.build import find_config
from benchmark.model.weight_files import read_checkpoint
from benchmark.registry import Registry

REGISTRY = Registry()
MODEL = {"backbone": {"name": "dncnn", "width": 4, "depth": 3, "norm": "none"}, "head": {"name": "residual"}}
SHAPES = {"model.0": (4, 3), "model.2": (4, 4), "model.4": (3, 4)}
WEIGHTS = {f"{key}.weight": torch.ones(*shape, 3, 3) for key, shape in SHAPES.items()}
WEIGHTS |= {f"{key}.bias": torch.ones(shape[0]) for key, shape in SHAPES.items()}
DTYPES = (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64, torch.bool, torch.complex64)
VALUES = (0.0, float("nan"), float("inf"), 1e300)
MOST_EXTRA_BYTES = 300_000_000
WRAPPERS = (None, "state_dict", "params_ema", "optimizer", "epoch\n", "\ud800")


def changed(tensor: Tensor, change: object) -> Tensor:
    """A tensor of another type, form or value."""
    if isinstance(change, torch.dtype):
        return tensor.to(change)
    if isinstance(change, float):
        return torch.full(tensor.shape, change, dtype=torch.float64)
    forms = {
        "sparse": tensor.to_sparse,
        "meta": lambda: tensor.to("meta"),
        "float8": lambda: tensor.to(torch.float8_e5m2),
        "expanded": lambda: torch.ones(1).expand(10**6, 10**6, 2 * 10**6),
        "scalar": tensor.sum,
        "flat": tensor.flatten,
        "empty": lambda: tensor[:0],
        "strided": lambda: tensor.repeat_interleave(2, -1)[..., ::2],
    }
    return forms[str(change)]()


CHANGES = st.sampled_from(
    [*DTYPES, *VALUES, "sparse", "meta", "float8", "expanded", "scalar", "flat", "empty", "strided"]
)
KEYS = st.sampled_from(list(WEIGHTS))


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """The content of a file: tensors changed, keys renamed, wrapped, saved in one of three forms, bits flipped, cut."""
    weights: dict[Any, Any] = dict(WEIGHTS)
    for key, change in draw(st.dictionaries(KEYS, CHANGES, max_size=2)).items():
        weights[key] = changed(weights[key], change)
    for key, name in draw(st.dictionaries(KEYS, st.text(max_size=8) | KEYS, max_size=2)).items():
        weights[name] = weights.pop(key, torch.zeros(1))
    prefix = draw(st.sampled_from(["", "module.", "_orig_mod.module.", "a.b.c.d."]))
    weights = {f"{prefix}{key}": tensor for key, tensor in weights.items()}
    form = draw(st.sampled_from(["zip", "old", "safetensors"]))
    if form == "safetensors":
        plain = [
            key
            for key, tensor in weights.items()
            if tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_complex())
        ]
        small = {key: weights[key].contiguous().clone() for key in plain if weights[key].numel() < 10**6}
        data = bytearray(save(small))
    else:
        if form == "old":  # which knows of no such type
            weights = {key: tensor for key, tensor in weights.items() if tensor.dtype != torch.float8_e5m2}
        wrapper, file = draw(st.sampled_from(WRAPPERS)), io.BytesIO()
        content = weights if wrapper is None else {wrapper: weights, "epoch": 3}
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
        data = bytearray(file.getvalue())
    for position, bit in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 7)), max_size=6)):
        data[position] ^= 1 << bit
    return bytes(data[: draw(st.just(len(data)) | st.integers(0, len(data)))])


def check_mutant(content: bytes) -> None:
    """Check a mutant, and what it takes: the series as a whole also holds what hypothesis remembers of it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check(content)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_EXTRA_BYTES


def check(content: bytes) -> bool:
    """Whether the mutant was imported; else it was refused in one line that can be printed."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "c.pth")
        file.write_bytes(content)
        try:
            match = find_config(file, read_checkpoint(file), {"small": MODEL}, REGISTRY)
        except CheckpointError as error:
            message = str(error)
            assert message.startswith(f"{file}: ") and message.isprintable() and len(message) < 2500
            return False
    assert all(tensor.to(torch.float32).isfinite().all() for tensor in match.fit.weights.values())
    return True


@pytest.mark.parametrize("mutants_tried", [250, pytest.param(2000, marks=pytest.mark.torture)])
def test_a_mutant_is_imported_or_refused_in_one_line(mutants_tried: int) -> None:
    """Whatever else happens is a fault: a traceback, numbers that are not finite, 20 s, memory beyond 300 MB."""
    bounds = settings(max_examples=mutants_tried, deadline=20_000, suppress_health_check=[HealthCheck.too_slow])
    bounds(given(mutants())(check_mutant))()


@pytest.mark.parametrize("form", ["zip", "old", "safetensors"])
def test_the_unchanged_file_is_imported(form: str) -> None:
    """So a refusal of a mutant is due to its mutation."""
    file = io.BytesIO()
    torch.save(WEIGHTS, file, _use_new_zipfile_serialization=form == "zip")
    assert check(save(WEIGHTS) if form == "safetensors" else file.getvalue())
