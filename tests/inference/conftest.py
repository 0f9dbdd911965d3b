"""A network that changes what it restores, so that runtimes have something to agree on."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.model import Restorer, build

SMALL: dict[str, Any] = {"name": "nafnet", "width": 4, "depths": [1, 1, 1]}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def make_network() -> Callable[[dict[str, Any]], Restorer]:
    """Makes networks with random weights everywhere: blocks and heads of fresh ones begin as doing nothing."""

    def make(backbone: dict[str, Any]) -> Restorer:
        restorer = build({"backbone": backbone, "head": {"name": "degradation"}})
        generator = torch.Generator().manual_seed(0)
        floats = [tensor for tensor in restorer.state_dict().values() if tensor.is_floating_point()]
        for tensor in floats:
            tensor += 0.05 * torch.rand(tensor.shape, generator=generator)
        return restorer

    return make


@pytest.fixture(scope="session")
def network(make_network: Callable[[dict[str, Any]], Restorer]) -> Restorer:
    """A small network, in training mode as one that was just built."""
    return make_network(SMALL)


@pytest.fixture(scope="session")
def image() -> NDArray[np.uint8]:
    """An image with odd sides."""
    return np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)


@pytest.fixture
def python() -> Callable[[str], str]:
    """Runs a program in a fresh process and returns what it prints; its failure is the test's."""

    def run(code: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
