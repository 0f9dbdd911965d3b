"""Every runtime gives the image that torch gives."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.errors import RuntimeUnavailable
from benchmark.inference.runtimes import prepare, runtime_names, unavailable
from benchmark.model import Restorer, restore_image
from benchmark.registry import Registry
from reports.schema import Dtype

CPU = torch.device("cpu")
Image = NDArray[np.uint8]
BACKBONES = Registry().names("backbone")


def difference(first: Image, second: Image) -> int:
    """The largest, in levels of 8 bits."""
    assert first.shape == second.shape and first.dtype == second.dtype == np.uint8
    return int(np.abs(first.astype(int) - second).max())


def prepared(runtime: str, network: Restorer, size: tuple[int, int], dtype: Dtype = "float32") -> Any:
    if reason := unavailable(runtime, CPU):
        pytest.skip(reason)
    return prepare(runtime, network, size, CPU, dtype)


@pytest.mark.parametrize("runtime", [name for name in runtime_names("cpu") if name != "compiled"])
def test_a_runtime_restores_as_torch_does(runtime: str, network: Restorer, image: Image) -> None:
    """The same within one level, also for odd sides and memory that cannot be written; step by step as in one go."""
    expected = restore_image(network.eval(), image, CPU)
    assert difference(expected, image) > 20
    image = image.copy()
    image.flags.writeable = False
    network.train()
    prepared_network = prepared(runtime, network, (37, 53))
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    restored = prepared_network.restore(image)
    assert difference(restored, expected) <= 1
    answer = prepared_network.network(prepared_network.to_input(image))
    assert np.array_equal(prepared_network.to_image(answer), restored)
    prepared_network.restore(255 - image)
    assert difference(restored, expected) <= 1
    with pytest.raises(ValueError, match=r"shape \(53, 37, 3\); the network was prepared for \(37, 53, 3\)"):
        prepared_network.restore(image.transpose(1, 0, 2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "name"),
    [
        *product([runtime for runtime in runtime_names("cpu") if runtime != "compiled"], BACKBONES),
        # Compiling takes half a minute each; that all compile as one graph is in tests/model/test_tracing.py.
        *product(["compiled"], ["gunet", "restormer_lite"]),
    ],
)
def test_every_backbone_runs_in_every_runtime(
    runtime: str, name: str, make_network: Callable[[dict[str, Any]], Restorer], image: Image
) -> None:
    """Within one level of torch, at the smallest size of every backbone; one that a runtime cannot read is refused."""
    network = make_network({"name": name, **Registry().find("backbone", name).sizes["tiny"]}).eval()
    if (runtime, name) == ("openvino", "darkir"):
        with pytest.raises(RuntimeUnavailable, match="OpenVINO does not read Fourier transforms"):
            prepared(runtime, network, (37, 53))
        return
    expected = restore_image(network, image, CPU)
    assert difference(expected, image) > 20
    assert difference(prepared(runtime, network, (37, 53)).restore(image), expected) <= 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype: Dtype, network: Restorer, image: Image) -> None:
    """Near float32, but not equal to it: weights and features are rounded."""
    expected = restore_image(network.eval(), image, CPU)
    restored = prepared("channels_last", network, (37, 53), dtype).restore(image)
    assert 0 < difference(restored, expected) <= (2 if dtype == "float16" else 12)


@pytest.mark.slow
def test_a_compiled_network_is_not_compiled_again(network: Restorer, image: Image) -> None:
    """It refuses what would take another minute in the middle of a measurement."""
    prepared_network = prepared("compiled", network, (37, 53))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.raises(RuntimeError, match="fail_on_recompile"):
            prepared_network.restore(image)
    finally:
        torch.set_num_threads(threads)
    prepared_network.restore(image)


@pytest.mark.parametrize(
    ("runtime", "device", "message"),
    [
        ("cuda_graph", "cpu", "runtime cuda_graph: only on cuda; on cpu: eager, channels_last, compiled, onnxruntime"),
        ("openvino", "cuda", "runtime openvino: only on cpu; on cuda: eager, channels_last, compiled, cuda_graph"),
        ("onyxruntime", "cpu", "no runtime 'onyxruntime'; did you mean 'onnxruntime'?"),
    ],
)
def test_a_runtime_that_cannot_be(runtime: str, device: str, message: str, network: Restorer) -> None:
    """Told in one line that says what there is instead."""
    assert str(unavailable(runtime, torch.device(device))).startswith(message)
    with pytest.raises(RuntimeUnavailable) as told:
        prepare(runtime, network, (8, 8), torch.device(device))
    assert str(told.value).startswith(message)


def test_a_precision_that_a_runtime_does_not_have(network: Restorer) -> None:
    """Refused before anything is exported."""
    with pytest.raises(RuntimeUnavailable, match="runtime openvino: not with dtype float16; use float32"):
        prepared("openvino", network, (8, 8), "float16")


def test_what_is_not_installed(python: Callable[[str], str]) -> None:
    """The line that installs it is in the message, also where a file is to be exported; torch needs none of it."""
    told = python(
        "import sys; sys.modules['onnxruntime'] = sys.modules['onnxscript'] = None\n"
        "import torch\n"
        "from benchmark.inference.onnx import onnx_bytes\n"
        "from benchmark.errors import RuntimeUnavailable\n"
        "from benchmark.inference.runtimes import prepare, unavailable\n"
        "from benchmark.model import build\n"
        "network = build({'backbone': {'name': 'nafnet', 'width': 4, 'depths': [1]}, 'head': {'name': 'rgb'}})\n"
        "there = (network, (8, 8), torch.device('cpu'))\n"
        "for call in (lambda: onnx_bytes(*there[:2]), lambda: prepare('onnxruntime', *there)):\n"
        "    try:\n        call()\n    except RuntimeUnavailable as error:\n        print(error)\n"
        "for runtime, device in [('openvino', 'cpu'), ('tensorrt', 'cuda'), ('eager', 'cpu')]:\n"
        "    print(unavailable(runtime, torch.device(device)))"
    )
    install = "not installed; pip install 'restoration-benchmark"
    assert told.splitlines() == [
        f"ONNX: onnxscript {install}[onnx]'",
        f"runtime onnxruntime: onnxruntime, onnxscript {install}[onnx]'",
        f"runtime openvino: onnxscript {install}[openvino]'",
        f"runtime tensorrt: onnxruntime, onnxscript {install}[onnx]'",
        "None",
    ]


def test_a_compiler_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile is no runtime without one."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "apt-get install g++" in str(unavailable("compiled", CPU))
