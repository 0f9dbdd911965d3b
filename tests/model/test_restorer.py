"""The Restorer pads, maps the range, and crops."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from backbones import Backbone
from benchmark.errors import ComponentError, RecordError
from benchmark.files import write_json
from benchmark.model import Restorer, build, load, restore_image
from benchmark.model.weight_files import read_weights, weight_bytes, write_weights
from heads import Head, Restoration


class Watcher(Backbone):
    """Returns the image it sees as features."""

    def __init__(self, multiple_of: int, min_side: int, pad_mode: str, low: float) -> None:
        super().__init__()
        self.out_channels = 3
        self.multiple_of, self.min_side, self.pad_mode, self.input_range = multiple_of, min_side, pad_mode, (low, 1.0)
        self.seen: Tensor | None = None

    def forward(self, image: Tensor) -> Tensor:
        self.seen = image
        return image


class Features(Head):
    """Returns the features as the image."""

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        return Restoration(features, {"gain": degraded})


sides = st.integers(1, 40)


@settings(deadline=None)
@given(sides, sides, st.sampled_from([1, 4, 16]), st.sampled_from([1, 24]), st.sampled_from(["reflect", "zeros"]))
def test_the_backbone_sees_what_it_needs_and_the_caller_what_it_gave(
    height: int, width: int, multiple: int, least: int, mode: str
) -> None:
    """Sides are padded to a multiple and a minimum; the result has the given size and, here, the given values."""
    backbone = Watcher(multiple, least, mode, 0.0)
    image = torch.rand(2, 3, height, width)
    restored, maps, _ = Restorer(backbone, Features())(image)
    assert backbone.seen is not None
    assert all(side % multiple == 0 and side >= least for side in backbone.seen.shape[-2:])
    assert torch.equal(restored, image)
    assert torch.equal(maps["gain"], image)


@pytest.mark.parametrize("head", ["degradation", "residual", "rgb", "blend", "mask_blend"])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("sides", [(1, 1), (1, 9), (9, 2)])
def test_heads_that_reflect_take_images_of_one_pixel(head: str, kernel_size: int, sides: tuple[int, int]) -> None:
    """A head of 5 x 5 that reflects needs three pixels a side, whatever the backbone needs."""
    model = {"backbone": {"name": "dncnn", "width": 4, "depth": 3, "norm": "none"}}
    options = {"name": head, "kernel_size": kernel_size, "padding": "reflect"}
    assert build({**model, "head": options}).eval()(torch.rand(1, 3, *sides)).image.shape[-2:] == sides


def test_padding_reflects_at_the_right_and_the_bottom() -> None:
    """A reflected row repeats the second-to-last one; zeros are zeros."""
    image = torch.arange(6.0).reshape(1, 1, 1, 6).expand(1, 3, 5, 6)
    reflecting, blank = Watcher(8, 1, "reflect", 0.0), Watcher(8, 1, "zeros", 0.0)
    for backbone in (reflecting, blank):
        Restorer(backbone, Features())(image)
    assert reflecting.seen is not None and blank.seen is not None
    assert reflecting.seen[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 4, 3]
    assert blank.seen[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 0, 0]


def test_the_range_is_the_backbones() -> None:
    """A backbone of the [-1, 1] family sees black as -1, white as 1."""
    backbone = Watcher(1, 1, "zeros", -1.0)
    Restorer(backbone, Features())(torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3).expand(1, 3, 1, 3))
    assert backbone.seen is not None
    assert backbone.seen[0, 0, 0].tolist() == [-1, 0, 1]


def test_an_image_goes_from_8_bits_to_8_bits_unchanged() -> None:
    """Through a network that does nothing, every level of every channel survives; what exceeds the range is clamped."""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    levels[..., 1] = 255 - levels[..., 0]
    net = Restorer(Watcher(1, 1, "zeros", 0.0), Features())
    assert np.array_equal(restore_image(net, levels, torch.device("cpu")), levels)

    class Twice(Features):
        def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
            return Restoration(2 * features - 0.5, {})

    restored = restore_image(Restorer(Watcher(1, 1, "zeros", 0.0), Twice()), levels, torch.device("cpu"))
    assert restored.min() == 0 and restored.max() == 255


def test_backbones_of_equal_seeds_are_equal_under_any_head() -> None:
    """A table of heads compares heads: the backbone starts from the same weights in every row."""
    backbone = {"name": "nafnet", "width": 4, "depths": [1, 1, 1]}
    first, second = (build({"backbone": backbone, "head": {"name": name}}, 3) for name in ("degradation", "rgb"))
    states = first.backbone.state_dict(), second.backbone.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_parts_and_seeds_are_independent() -> None:
    """The head of one seed does not draw the numbers that the backbone of the next one draws."""
    backbone = {"name": "nafnet", "width": 8, "depths": [1, 1, 1]}
    nets = [build({"backbone": backbone, "head": {"name": "rgb"}}, seed) for seed in (0, 1)]
    parts = (nets[0].head, nets[1].backbone)
    first, second = (next(p for p in part.parameters() if p.ndim == 4).detach().flatten() for part in parts)
    assert len(first) == len(second)
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1].item()) < 0.3


def test_a_wrong_option_is_a_component_error() -> None:
    """What a constructor refuses is told in one line."""
    with pytest.raises(ComponentError, match="gunet"):
        build({"backbone": {"name": "gunet", "depths": [1, 1]}, "head": {"name": "rgb"}})


def test_weights_survive_the_file(tmp_path: Path) -> None:
    """What is written is read bit for bit, buffers included; half precision halves the file's tensors."""
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64))
    net(torch.rand(2, 3, 8, 8))
    write_weights(net, tmp_path / "w.safetensors")
    state, back = net.state_dict(), read_weights(tmp_path / "w.safetensors")
    assert state.keys() == back.keys()
    assert all(torch.equal(state[key], back[key]) for key in state)
    assert len(weight_bytes(net, torch.float32)) == (tmp_path / "w.safetensors").stat().st_size
    assert len(weight_bytes(net, torch.float16)) < 0.6 * len(weight_bytes(net, torch.float32))


@pytest.mark.parametrize("content", [None, b"", b"not a tensor file at all"])
def test_damaged_weights_are_a_user_error(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty and foreign files are told with their path."""
    file = tmp_path / "w.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RecordError, match=r"w\.safetensors"):
        read_weights(file)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"backbone": {"name": "dncnn", "width": 4, "gone": 1}}, r"record\.json: its model: 'gone' is no field of it"),
        ({"backbone": {"name": "dncnnn"}}, r"record\.json: its model: .*did you mean 'dncnn'"),
        ({"backbone": {"name": "dncnn", "width": 8}}, r"does not fit the model in record\.json: \d+ of another shape"),
        ({"backbone": {"width": 4}}, r"record\.json: its model: has no 'backbone.name'"),
        ({"backbone": None}, r"record\.json: its model: "),
        (["list"], "no record of a trained row"),
    ],
)
def test_a_record_whose_network_changed_is_told_in_one_line(tmp_path: Path, model: Any, message: str) -> None:
    """An option or a component that is gone, another size, a record of another form: the cause, and what to do."""
    whole: dict[str, Any] = {"backbone": {"name": "dncnn", "width": 4}, "head": {"name": "residual"}}
    write_weights(build(whole), tmp_path / "weights.safetensors")
    config = {"model": {**whole, **model} if isinstance(model, dict) else model}
    write_json(tmp_path / "record.json", {"status": "done", "config": config})
    with pytest.raises(RecordError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "null", '{"status": "done"}', '{"status": "done", "config": 1}'])
def test_a_record_of_another_form_is_no_record(tmp_path: Path, text: str) -> None:
    """JSON that is nested deeply, or that is no record."""
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RecordError, match="no record of a trained row"):
        load(tmp_path)


def test_a_folder_without_a_record_is_a_user_error(tmp_path: Path) -> None:
    """`load` says what it expected."""
    with pytest.raises(RecordError, match="no record of a trained row"):
        load(tmp_path)
