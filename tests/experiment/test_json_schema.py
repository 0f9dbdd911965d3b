"""The JSON Schema of experiment files: current, true to what is shipped, and able to find mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from benchmark.experiment.document import parse, read
from benchmark.experiment.json_schema import experiment_schema
from benchmark.registry import Registry

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "experiments/schema.json"
SHIPPED = sorted((ROOT / "experiments").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(COMMITTED.read_text()))


def mistakes(validator: Draft202012Validator, data: Any) -> list[str]:
    """What is wrong, where, of alternatives each."""
    return [line for error in validator.iter_errors(data) for line in leaves(error)]


def leaves(error: ValidationError) -> list[str]:
    return [line for inner in error.context or () for line in leaves(inner)] or [f"{error.json_path}: {error.message}"]


def mistakes_in(validator: Draft202012Validator, text: str) -> list[str]:
    return mistakes(validator, parse(text, "file.yaml").data)


def test_the_committed_schema_is_current() -> None:
    """experiments/schema.json is what the types and components of today generate, and is itself a valid schema."""
    generated = json.loads(json.dumps(experiment_schema(Registry())))
    Draft202012Validator.check_schema(generated)
    is_current = json.loads(COMMITTED.read_text()) == generated
    assert is_current, "out of date; run: python -m benchmark schema --out experiments/schema.json"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_experiments_validate_and_name_the_schema(validator: Draft202012Validator, file: Path) -> None:
    """An editor that opens a shipped file finds the schema by its first line, and no mistake."""
    assert file.read_text().splitlines()[0] == "# yaml-language-server: $schema=schema.json"
    assert mistakes(validator, read(file).data) == []


@pytest.mark.parametrize(
    "text",
    [
        "extends: quickstart.yaml\nname: mine\nprotocol: {coarse: {lr: 1e-4}}",
        "extends: [quickstart.yaml, other.yaml]",
        "gates: {size: null, here: {quantity: latency, limit_ms: 10, image: [64, 64]}}",
        "gates: {parameters: {limit: 2_000_000}}",
        "model: {backbone: {width: 8}}",
        "report: null",
        "model: {backbone: {name: my_net_of_a_plugin, anything: [1, 2]}}",
        "protocol: {coarse: {loss: {l1: 0.5, ms_ssim: {weight: 1, window_size: 5}, color: null, my_loss: {a: 1}}}}",
        "tables: {a: {b: {protocol.coarse.loss.l1: 2, model.head: {name: rgb}}, c: null}}",
    ],
)
def test_what_one_file_may_say_is_allowed(validator: Draft202012Validator, text: str) -> None:
    """Parts of an experiment, null that deletes, numbers with underscores, and components only a plugin knows."""
    assert mistakes_in(validator, text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("modle: {}", "$:"),
        ("protocol: {coarse: {stpes: 3}}", "$.protocol.coarse:"),
        ("protocol: {coarse: {steps: many}}", "$.protocol.coarse.steps:"),
        ("protocol: {coarse: {steps: 0}}", "$.protocol.coarse.steps:"),
        ("protocol: {coarse: {loss: {ms_ssim: {window: 5}}}}", "$.protocol.coarse.loss.ms_ssim:"),
        ("protocol: {coarse: {augment: {flip: {often: 1}}}}", "$.protocol.coarse.augment.flip:"),
        ("model: {backbone: {name: gunet, size: enormous}}", "$.model.backbone.size:"),
        ("model: {backbone: {name: gunet, widht: 8}}", "$.model.backbone:"),
        ("model: {head: {name: degradation, gain_channels: 2}}", "$.model.head.gain_channels:"),
        ("data: {train: {source: synthetic_faces, preset: horrible}}", "$.data.train.preset:"),
        ("gates: {latency: {limit_ms: fast}}", "$.gates.latency"),
        ("tables: {a: {b: {model.backbone: {name: nafnet, widht: 8}}}}", "$.tables.a.b['model.backbone']:"),
        ("report: {primary: [psnr]}", "$.report"),
    ],
)
def test_mistakes_are_found_where_they_are(validator: Draft202012Validator, text: str, where: str) -> None:
    """A setting that does not exist, an option that is none, and a value out of range are marked at their place."""
    found = mistakes_in(validator, text)
    assert any(line.startswith(where) for line in found), found


def test_a_plugin_is_part_of_its_users_schema(tmp_path: Path) -> None:
    """With a plugin the schema knows its name and its options."""
    plugin = tmp_path / "brighter.py"
    plugin.write_text(
        "from losses import Loss\n\n\nclass Brighter(Loss):\n    formula = 'mean'\n    origin = 'ours'\n\n"
        "    def __init__(self, above: float = 0.5) -> None:\n        super().__init__()\n\n"
        "    def forward(self, restoration, batch):\n        return restoration.image.mean()\n"
    )
    with_plugin = Draft202012Validator(experiment_schema(Registry((plugin,))))
    assert mistakes_in(with_plugin, "protocol: {a: {loss: {brighter: {above: 0.1}}}}") == []
    assert mistakes_in(with_plugin, "protocol: {a: {loss: {brighter: {below: 0.1}}}}")
