"""A trained network in three lines of Python: arrays in, arrays of the same kind out."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import benchmark
from benchmark.errors import BenchmarkError, DataError, RecordError
from benchmark.experiment.weights import MODEL_IN_HEADER
from benchmark.files import write_json
from benchmark.inference.network import Network
from benchmark.model import Restorer, restore_image
from benchmark.model.weight_files import weight_bytes, write_weights

Array = NDArray[Any]
CPU = torch.device("cpu")
MODEL = {"backbone": {"name": "nafnet", "width": 4, "depths": [1, 1, 1]}, "head": {"name": "degradation"}}


@pytest.fixture
def row(tmp_path: Path, network: Restorer) -> Path:
    """A row with two seeds, of which the first failed."""
    for seed, status in ((0, "failed"), (1, "done")):
        write_weights(network, tmp_path / f"x/base/seed{seed}/weights.safetensors")
        write_json(tmp_path / f"x/base/seed{seed}/record.json", {"status": status, "config": {"model": MODEL}})
    return tmp_path / "x/base"


@pytest.fixture
def loaded(row: Path) -> Network:
    return benchmark.load(row, "cpu")


def largest(first: Array, second: Array) -> float:
    assert first.shape == second.shape and first.dtype == second.dtype
    return float(np.abs(first.astype(float) - second).max())


def test_three_lines(row: Path, network: Restorer, image: Array) -> None:
    """The folder of a row is enough: its first finished seed is taken, and the device is chosen."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = benchmark.load(row)
        restored = loaded.restore(image)
    assert loaded.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    expected = restore_image(network.eval(), image, CPU)
    assert largest(restored, expected) <= 1 and largest(restored, image) > 20


def test_the_documented_lines_run(row: Path, python: Callable[[str], str]) -> None:
    """Those of docs/shipping.md, in a fresh process: nothing is printed but what they print."""
    text = (Path(__file__).parents[2] / "docs/shipping.md").read_text(encoding="utf-8")
    (lines,) = [block for block in text.split("```python\n") if "network.restore(" in block]
    code = lines.partition("```")[0].replace("runs/quickstart/base", str(row))
    before = (
        "import warnings; warnings.simplefilter('error')\nimport numpy as np\narray = np.zeros((20, 30, 3), np.uint8)"
    )
    assert python(f"{before}\n{code}\nprint(image.shape, image.dtype)") == "(20, 30, 3) uint8\n"


def test_importing_the_package_is_instant(python: Callable[[str], str]) -> None:
    """torch comes with the first name that needs it."""
    assert python("import sys, benchmark; print('torch' in sys.modules, 'numpy' in sys.modules)") == "False False\n"


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64, np.float16])
def test_every_type_gives_the_same_image(loaded: Network, image: Array, dtype: type[Any]) -> None:
    """In its own units and precision; the same picture in 8 bits gives the same within half a level."""
    scale = 65535 if dtype == np.uint16 else 1
    given = (image / 255 * scale).astype(dtype)
    restored = loaded.restore(given)
    assert restored.dtype == dtype
    expected = loaded.restore(image) / 255 * scale
    assert np.abs(restored - expected).max() <= 0.6 / 255 * scale


def test_grey_images_stay_grey(loaded: Network, image: Array) -> None:
    """`H W` and `H W 1`; the network sees three equal channels."""
    grey = np.ascontiguousarray(image[..., 0])
    restored = loaded.restore(grey)
    expected = loaded.restore(np.repeat(grey[..., None], 3, 2)).astype(float).mean(2)
    assert np.abs(restored - expected).max() <= 1
    assert np.array_equal(loaded.restore(grey[..., None]), restored[..., None])


def test_batches_and_lists(loaded: Network, image: Array) -> None:
    """A batch is a batch again; a list may mix sizes and types, and keeps its order; none are none."""
    batch = np.stack([image, 255 - image, image[::-1]])
    restored = loaded.restore(batch)
    assert largest(restored, np.stack([loaded.restore(single) for single in batch])) <= 1
    mixed: list[Array] = [image, image[:20], (image / 255).astype(np.float32), image[:20, :9], image[..., 0]]
    for single, result in zip(mixed, loaded.restore(mixed), strict=True):
        assert largest(result, loaded.restore(single)) <= (1 if single.dtype == np.uint8 else 1e-5)
    assert loaded.restore([]) == [] and loaded.restore(batch[:0]).shape == (0, 37, 53, 3)


def test_strength(loaded: Network, image: Array) -> None:
    """0 gives the image itself, bit for bit; a half lies between."""
    assert np.array_equal(loaded.restore(image, strength=0), image)
    middle = (image.astype(float) + loaded.restore(image)) / 2
    assert np.abs(loaded.restore(image, strength=0.5) - middle).max() <= 1
    with pytest.raises(DataError, match=r"strength is 1\.5; it must be from 0 to 1"):
        loaded.restore(image, strength=1.5)


def test_an_ensemble_does_not_depend_on_the_orientation(loaded: Network, image: Array) -> None:
    """A turned and mirrored image gives the turned and mirrored result; once alone, it does not."""
    unit = (image / 255).astype(np.float32)
    turned = np.rot90(unit)[:, ::-1]
    expected = np.rot90(loaded.restore(unit, ensemble=True))[:, ::-1]
    assert largest(loaded.restore(turned, ensemble=True), expected) < 1e-5
    assert largest(loaded.restore(turned), np.rot90(loaded.restore(unit))[:, ::-1]) > 1e-3


def test_arrays_stay_as_they_are(loaded: Network, image: Array) -> None:
    """Also those that may not be written, or lie backwards in memory."""
    frozen = image[:, ::-1]
    frozen.flags.writeable = False
    before = frozen.copy()
    assert np.array_equal(loaded.restore(frozen), loaded.restore(before)) and np.array_equal(frozen, before)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((8, 8, 3), 200.0), "values from 200 to 200; expected 0 to 1: divide it by 255"),
        (np.full((8, 8, 3), np.nan), "NaN or infinite"),
        (np.zeros((8, 8, 4), np.uint8), r"shape \(8, 8, 4\); expected H x W x 3"),
        (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\); expected H x W x 3"),
        (np.zeros((8, 8, 3), np.int64), "type int64; expected uint8, uint16 or float"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
        (None, "a NoneType; expected a NumPy array or a list of them"),
    ],
)
def test_what_is_no_image_is_refused(loaded: Network, array: Any, message: str) -> None:
    """In one line that says what was given and what is expected."""
    with pytest.raises(DataError, match=message):
        loaded.restore(array)


def test_an_exported_file_is_enough(tmp_path: Path, network: Restorer, loaded: Network, image: Array) -> None:
    """Away from its run: the header names the model; a file without it is refused."""
    (tmp_path / "shipped.safetensors").write_bytes(
        weight_bytes(network, torch.float32, {MODEL_IN_HEADER: json.dumps(MODEL)})
    )
    assert np.array_equal(benchmark.load(tmp_path / "shipped.safetensors", "cpu").restore(image), loaded.restore(image))
    (tmp_path / "bare.safetensors").write_bytes(weight_bytes(network, torch.float32))
    with pytest.raises(RecordError, match=r"bare\.safetensors: its header names no model; expected a file that"):
        benchmark.load(tmp_path / "bare.safetensors")


def test_a_row_without_a_finished_seed(tmp_path: Path) -> None:
    """The message names the folder; a device that is not there is refused, too."""
    with pytest.raises(RecordError, match="no record of a trained row"):
        benchmark.load(tmp_path)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        benchmark.lod  # noqa: B018


def test_a_device_that_is_not_there(row: Path) -> None:
    """Refused when the network is loaded."""
    with pytest.raises(BenchmarkError, match="no such device"):
        benchmark.load(row, "gpu")
