"""What the tests of single backbones share: reference outputs, a whole restorer, counting."""

import gzip
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from backbones import Backbone
from benchmark.files import digest_of
from benchmark.model import build
from benchmark.model.published import match_weights
from benchmark.registry import Registry

REPOSITORY = Path(__file__).parents[2]
GOLDENS = REPOSITORY / "tests" / "goldens"
GOLDENS_ELSEWHERE = REPOSITORY.parent / "shared" / "goldens"


@dataclass(frozen=True)
class Golden:
    """Weights under the authors' names, named inputs and outputs, and their values for black and white."""

    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]
    input_range: tuple[float, float]


@pytest.fixture
def load_golden() -> Callable[[str], Golden]:
    """Return a function from the name of a case, like `full/gunet_t`, to its golden, or skips the test without one."""
    return _load_golden


@pytest.fixture
def with_published_weights(tmp_path: Path) -> Callable[[str, Mapping[str, Any], Golden], Callable[[Tensor], Tensor]]:
    """Return a function from backbone, options and golden to the restorer with the golden's weights, read from a file.

    It takes and gives images in the units of the authors' network.
    """
    return partial(_with_published_weights, tmp_path / "published.pth")


@pytest.fixture
def upscale_with_published_weights() -> Callable[[str, Mapping[str, Any], Golden, Tensor], Tensor]:
    """Return a function from backbone, options, golden and image to what the authors' network for larger images adds.

    It is our backbone with all their weights, their last convolution, which makes more channels, and a pixel shuffle.
    """
    return _upscale


@pytest.fixture
def count_macs() -> Callable[[nn.Module, int], int]:
    """Return a function that counts the multiply-adds of a network on the meta device for a square image."""
    return _count_macs


@pytest.fixture
def weight_bytes() -> Callable[[Backbone], int]:
    """Return a function that counts the bytes of a backbone's weights and buffers with a 3x3 head to six channels."""
    return _weight_bytes


@pytest.fixture
def randomise() -> Callable[[nn.Module], None]:
    """Return a function that moves every parameter off its initial value, so that no zero switches off a branch."""
    return _randomise


@pytest.fixture
def differ() -> Callable[[Backbone, Backbone], bool]:
    """Return a function that tells whether two backbones differ in parameters or, with equal weights, in output."""
    return _differ


@pytest.fixture
def differ_at() -> Callable[[Backbone, Backbone, Tensor], bool]:
    """Return a function that tells whether two backbones, with the weights they have, differ on an image."""
    return _differ_at


def _load_golden(name: str) -> Golden:
    folder = next((f for f in (GOLDENS, GOLDENS_ELSEWHERE) if (f / f"{name}.safetensors").exists()), None)
    if folder is None:
        pytest.skip(f"reference output {name} is not here: its code is not under a permissive licence")
    with safe_open(folder / f"{name}.safetensors", "pt") as file:
        meta = json.loads(file.metadata()["meta"])
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (the file is no mapping)
    weights = {key[3:]: _as_float(value) for key, value in stored.items() if key.startswith("sd/")}
    tensors = {key: value for key, value in stored.items() if not key.startswith("sd/")}
    key_list = folder / f"{name}.keys.json.gz"
    if key_list.exists():
        keys = json.loads(gzip.decompress(key_list.read_bytes()))["keys"]
        like_weights = meta.get("recipe_as_weight", [])
        weights = {key: _recipe(key, shape, meta["gain"], like_weights) for key, shape, _ in keys}
    return Golden(weights, tensors, tuple(json.loads(meta["input_range"])))


def _as_float(stored: Tensor) -> Tensor:
    return stored.float() if stored.is_floating_point() else stored


def _recipe(key: str, shape: list[int], gain: float, like_weights: Sequence[str]) -> Tensor:
    """Return the weight that the reference was computed with: normal numbers seeded by the key, scaled by its kind.

    `like_weights` are further names of tensors that are scaled as weights are.
    """
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return torch.tensor(0)
    seed = zlib.crc32(key.encode())
    normal = np.random.RandomState(seed).standard_normal(tuple(shape)).astype(np.float32)
    if leaf in ("weight", *like_weights) and len(shape) > 1:
        values = normal * np.float32(gain / math.sqrt(math.prod(shape[1:])))
    else:
        kinds = {
            "running_var": lambda: 1 + 0.25 * np.tanh(normal),
            "running_mean": lambda: np.float32(0.1) * normal,
            "bias": lambda: np.float32(0.05) * normal,
            "weight": lambda: 1 + np.float32(0.1) * normal,
        }
        values = kinds.get(leaf, lambda: np.float32(0.3) + np.float32(0.1) * normal)()
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def _with_published_weights(
    file: Path, backbone: str, options: Mapping[str, Any], golden: Golden
) -> Callable[[Tensor], Tensor]:
    torch.save({"params": {f"module.{key}": value for key, value in golden.weights.items()}}, file)
    head = Registry().find("backbone", backbone).published.head_of(options)
    weights = {"file": str(file), "sha256": digest_of(file)}
    restorer = build({"backbone": {"name": backbone, **options}, "head": head, "weights": weights}).eval()
    low, high = golden.input_range

    def restore(image: Tensor) -> Tensor:
        with torch.no_grad():
            return restorer((image - low) / (high - low)).image * (high - low) + low

    return restore


def _upscale(backbone: str, options: Mapping[str, Any], golden: Golden, image: Tensor) -> Tensor:
    head = Registry().find("backbone", backbone).published.head
    restorer = build({"backbone": {"name": backbone, **options}, "head": head}).eval()
    factor = golden.tensors["output"].shape[2] // golden.tensors["input"].shape[2]
    last = nn.Conv2d(restorer.backbone.out_channels, 3 * factor**2, 3, padding=1)
    restorer.head.conv = last
    weights, mismatch = match_weights(golden.weights, restorer)
    assert not mismatch
    restorer.load_state_dict(weights)
    with torch.no_grad():
        return nn.functional.pixel_shuffle(last(restorer.backbone(image)), factor)


def _count_macs(network: nn.Module, side: int) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.to("meta").eval()(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops() // 2


def _weight_bytes(backbone: Backbone) -> int:
    head = nn.Conv2d(backbone.out_channels, 6, 3)
    tensors = [*backbone.state_dict().values(), *head.parameters()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _randomise(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def _differ(first: Backbone, second: Backbone) -> bool:
    shapes = [{key: value.shape for key, value in net.state_dict().items()} for net in (first, second)]
    if shapes[0] != shapes[1]:
        return True
    _randomise(first)
    second.load_state_dict(first.state_dict())
    side = max(first.min_side, second.min_side, 32)
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    return _differ_at(first, second, image)


def _differ_at(first: Backbone, second: Backbone, image: Tensor) -> bool:
    with torch.no_grad():
        return not torch.allclose(first.eval()(image), second.eval()(image), atol=1e-4)
