"""`list`: what an experiment may name."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmark.cli import cli
from benchmark.cli.list import show_costs
from benchmark.errors import ComponentError
from benchmark.gates.cost import cost
from benchmark.model import build
from benchmark.registry import KINDS, Registry
from reports.metrics import METRICS
from reports.schema import BASELINES, CLASSICAL_BASELINES

PLUGIN = """\
import torch
from torch import Tensor, nn

from backbones import Backbone


class Calculating(Backbone):
    citation = "none"
    origin = "ours"
    sizes = {"one": {"width": 3}, "huge": {"width": 50_000}, "broken": {"width": -1}}

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.out_channels = int(torch.linspace(1, width, 2)[-1].item())  # impossible on the meta device
        self.body = nn.Conv2d(3, self.out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.body(image)
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["list", *map(str, arguments)], standalone_mode=False)


def test_without_a_kind_all_names_are_listed() -> None:
    """Every kind of component has a line with every name, and so have metrics, presets, gates and baselines."""
    lines = dict(line.split(": ", 1) for line in run().output.splitlines())
    for kind in KINDS.keys() - {"metric"}:
        assert lines[{"loss": "losses"}.get(kind, f"{kind}s")] == ", ".join(Registry().names(kind))
    assert lines["metrics"].split(", ") == [*METRICS, *sorted({*Registry().names("metric")} - METRICS.keys())]
    assert lines["baselines"].split(", ") == [*BASELINES, *CLASSICAL_BASELINES]
    assert {"contest", "heavy", "severe"} == set(lines["presets"].split(", "))
    assert {"size", "parameters", "macs", "latency"} <= set(lines["gates"].split(", "))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("heads", "formula: J = K*I + D + I"),
        ("heads", "gain_channels=3 (or 1), gain_resolution='full' (or 'low'), pool=16"),
        ("losses", "window_size=11"),
        ("sources", "sources=needed, weights=None"),
        ("augmentations", "horizontal_flip"),
        ("metrics", "levels; lower is better"),
        ("presets", "lesions_median=160"),
        ("gates", "limit_bytes=needed, file='safetensors' (or 'onnx')"),
        ("baselines", "Do nothing."),
        ("baselines", "tested where an experiment names it; needs scikit-image and PyWavelets"),
    ],
)
def test_each_kind_says_what_there_is_to_know(kind: str, words: str) -> None:
    """Formulas, options with defaults, units and settings, whatever the kind has."""
    assert words in run(kind).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["loss"], "list loss: no such kind; did you mean 'losses'"),
        (["losses", "ssmi"], "list losses ssmi: no such name; did you mean 'ssim'"),
        (["heads", "--costs"], "only backbones have costs"),
    ],
)
def test_mistakes_get_an_error_that_says_what_is_allowed(arguments: list[str], message: str) -> None:
    """An unknown kind or name gets the nearest known one."""
    with pytest.raises(ComponentError, match=message):
        raise run(*arguments).exception or AssertionError


def test_names_choose_what_is_listed() -> None:
    """Only the components named, in that order, with options and the names of sizes."""
    output = run("backbones", "unet", "gunet").output
    assert [line for line in output.splitlines() if not line.startswith(" ")] == ["unet", "gunet"]
    assert "fusion='selective_kernel' (or 'concatenation' or 'sum')" in output
    assert "sizes: t, s, b, d, small, retouch, tiny" in output


def test_a_broken_component_does_not_hide_the_others(tmp_path: Path) -> None:
    """A plugin that does not say where it comes from gets one line; the rest of the list follows."""
    file = tmp_path / "faulty.py"
    file.write_text(PLUGIN.replace('    origin = "ours"\n', ""))
    output = run("backbones", "--plugin", file).output
    assert "\nfaulty: " in output and "\nunet\n" in output


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "calculating.py"
    file.write_text(PLUGIN)
    return file


def cells(output: str, backbone: str, size: str) -> list[str]:
    """The cells of a size in the table of a backbone."""
    lines = f"\n{output}".partition(f"\n{backbone}\n")[2].splitlines()  # not that of a backbone which ends like it
    return next(line.split() for line in lines if line.split()[:1] == [size])


def counted(backbone: dict[str, Any], registry: Registry) -> list[str]:
    """The same, of the network built with its weights."""
    found = cost(build({"backbone": backbone, "head": {"name": "degradation"}}, 0, registry))
    return [f"{found.params:,}", f"{found.macs / 1e9:.3f}", f"{found.weight_bytes['float32']:,}"]


def test_sizes_are_counted_as_built(plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the constructor needs real tensors; a size that cannot be built is told among the others."""
    registry = Registry((plugin,))
    show_costs(registry, "calculating")
    output = f"calculating\n{capsys.readouterr().out}"
    assert cells(output, "calculating", "one") == [
        "one",
        *counted({"name": "calculating", "width": 3}, registry),
        "yes",
    ]
    assert cells(output, "calculating", "huge")[-1] == "no"
    assert "broken cannot be built: RuntimeError" in output


@pytest.mark.slow
def test_every_size_of_every_backbone_is_listed() -> None:
    """The published ones are counted without their weights, so the list ends within its time."""
    output, registry = run("backbones", "--costs").output, Registry()
    for backbone in registry.names("backbone"):
        sizes = registry.find("backbone", backbone).sizes
        of_colour_images = [size for size, options in sizes.items() if not options.get("dual_pixel")]
        assert all(len(cells(output, backbone, size)) == 5 for size in of_colour_images)
        tiny = {"name": backbone, **sizes["tiny"]}
        assert cells(output, backbone, "tiny") == ["tiny", *counted(tiny, registry), "yes"]
