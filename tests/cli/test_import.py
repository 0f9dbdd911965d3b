"""`import`: published weights in, a file of ours and the lines of an experiment out."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click import UsageError
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from benchmark.cli import cli
from benchmark.errors import CheckpointError, ComponentError, ExperimentError
from benchmark.experiment.load import load
from benchmark.experiment.schema import ResolvedModel
from benchmark.files import digest_of
from benchmark.model import build
from benchmark.model.build import weights_choices
from benchmark.model.weight_files import read_weights
from benchmark.registry import Registry

OPTIONS = ("--backbone", "nafnet", "--option", "width=8", "--option", "depths=[1, 1, 1, 1, 1]")


def imported(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["import", *map(str, arguments)], standalone_mode=False)


def printed_row(result: Result) -> dict[str, Any]:
    return yaml.safe_load(result.stdout[result.stdout.index("tables:") :])["tables"]["published"]["nafnet"]


def test_a_checkpoint_becomes_a_file_of_ours_and_a_row(experiment_file: Path, published_nafnet: Path) -> None:
    """The printed row, put into an experiment, has the network and the weights that the checkpoint itself gives."""
    result = imported(published_nafnet, *OPTIONS)
    assert result.exception is None, result.output
    assert "nafnet width=8 depths=[1, 1, 1, 1, 1] fits; 19,899 parameters" in result.stdout
    file = published_nafnet.with_name("nafnet_w8_imported.safetensors")
    row = printed_row(result)
    assert (row["model.weights"], row["protocol.order"]) == (str(file), [])
    table = result.stdout[result.stdout.index("  published:") :]
    experiment_file.write_text(experiment_file.read_text() + table)
    model = load(experiment_file, Registry()).rows[-1].recipe.model.as_config()
    weights = {"file": str(published_nafnet), "sha256": digest_of(published_nafnet)}
    states = [build(one).state_dict() for one in (model, {**model, "weights": weights})]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert read_weights(file).keys() == states[0].keys()


def test_an_imported_file_knows_its_head(experiment_file: Path, published_nafnet: Path) -> None:
    """Head rgb has the same names and shapes as residual, and would compute something else: it is refused."""
    row = printed_row(imported(published_nafnet, *OPTIONS))
    text = experiment_file.read_text().replace("{name: nafnet, width: 4, depths: [1, 1, 1]}", "{name: nafnet}")
    experiment_file.write_text(text)
    sets = [f"model.backbone={row['model.backbone']}", "model.head={name: rgb, padding: zeros}", "tables=null"]
    with pytest.raises(ExperimentError, match='belongs to a model with name "residual" in its head'):
        load(experiment_file, Registry(), (*sets, f"model.weights={row['model.weights']}"))


def test_a_named_size_is_found_and_printed(tmp_path: Path) -> None:
    """Without --size the one that fits is found; the file goes where --out says."""
    state = build({"backbone": {"name": "gunet", "width": 24}, "head": {"name": "residual"}}).state_dict()
    official = {official_name(key): value for key, value in state.items()}
    torch.save({"state_dict": {f"module.{key}": value for key, value in official.items()}}, tmp_path / "t.pth")
    result = imported(tmp_path / "t.pth", "--backbone", "gunet", "--out", tmp_path / "new/t.safetensors")
    assert result.exception is None, result.output
    assert "gunet t fits; 844,899 parameters" in result.stdout
    assert "model.backbone: {name: gunet, size: t}" in result.stdout
    written = read_weights(tmp_path / "new/t.safetensors")
    assert torch.equal(written["head.conv.weight"], state["head.conv.weight"] / 2)


def official_name(key: str) -> str:
    """What the authors of gUNet call a tensor of ours."""
    for ours, theirs in {
        "backbone.stem": "inconv.proj",
        "head.conv": "outconv.proj.0",
        "squeeze": "mlp.1",
        "select": "mlp.3",
        "value": "conv.Wv.0",
        "depthwise": "conv.Wv.1",
        "gate.0": "conv.Wg.0",
        "project": "conv.proj",
        "backbone.": "",
    }.items():
        key = key.replace(ours, theirs)
    parts = key.split(".")
    if parts[0] == "stages":
        return ".".join(["layers", parts[1], "blocks", *parts[2:]])
    at = {"downs": 2, "ups": 2}.get(parts[0])
    return ".".join([*parts[:at], "proj", *parts[at:]]) if at else key


def test_the_choice_between_an_average_and_the_last_step_is_stated(published_nafnet: Path, tmp_path: Path) -> None:
    """The average is written, and the line says what was not taken; `run` and `plan` state it, too."""
    weights = torch.load(published_nafnet, weights_only=True)["params"]
    content = {"state_dict": {key: 0 * tensor for key, tensor in weights.items()}, "state_dict_ema": weights}
    torch.save(content, tmp_path / "both.pth")
    result = imported(tmp_path / "both.pth", *OPTIONS)
    assert "both.pth: took the weights in state_dict_ema, not those in state_dict (which fit as well)" in result.stdout
    written = read_weights(tmp_path / "both_imported.safetensors")
    assert torch.equal(written["backbone.stem.weight"], weights["intro.weight"].float())
    model = {
        "backbone": {"name": "nafnet", "width": 8, "depths": [1, 1, 1, 1, 1]},
        "head": {"name": "residual", "padding": "zeros"},
    }
    for file, lines in ((tmp_path / "both.pth", 1), (published_nafnet, 0)):
        weights_file = {"file": str(file), "sha256": "0" * 64}
        resolved = ResolvedModel.model_validate({**model, "weights": weights_file})
        assert len(weights_choices([resolved, resolved], Registry())) == lines


def test_nothing_is_overwritten_unless_asked(published_nafnet: Path, tmp_path: Path) -> None:
    """A file that is there stays; --replace writes over it."""
    file = tmp_path / "there.safetensors"
    file.write_text("precious")
    result = imported(published_nafnet, *OPTIONS, "--out", file)
    assert isinstance(result.exception, UsageError) and "exists already" in str(result.exception)
    assert file.read_text() == "precious"
    assert imported(published_nafnet, *OPTIONS, "--out", file, "--replace").exception is None
    assert len(read_weights(file)) == 100


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["nothing.pth", "--backbone", "nafnet"], CheckpointError, r"nothing\.pth: cannot be read: No such file"),
        (["nafnet_w8.pth", "--backbone", "nafnt"], ComponentError, "did you mean 'nafnet'?"),
        (["nafnet_w8.pth", "--backbone", "nafnet"], CheckpointError, "fits none of nafnet w32_gopro, .*; nearest is "),
        (["nafnet_w8.pth", "--backbone", "nafnet", "--size", "tny"], ExperimentError, "did you mean 'tiny'?"),
        (
            ["nafnet_w8.pth", "--backbone", "nafnet", "--size", "tiny"],
            CheckpointError,
            "fits none of nafnet tiny; near",
        ),
        (["nafnet_w8.pth", "--backbone", "nafnet", "--option", "widht=8"], ExperimentError, "did you mean 'width'?"),
        (["nafnet_w8.pth"], UsageError, "backbone"),
    ],
)
def test_mistakes_are_told(
    published_nafnet: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: type[Any], message: str
) -> None:
    """What the user can mend is an error that the command line prints as one line; nothing is written."""
    monkeypatch.chdir(published_nafnet.parent)
    result = imported(*arguments)
    with pytest.raises(error, match=message):
        raise result.exception or AssertionError(result.output)
    assert not list(published_nafnet.parent.glob("*.safetensors"))


def test_a_file_of_ours_is_known_under_any_name(experiment_file: Path, published_nafnet: Path) -> None:
    """Its header names the model whatever the file is called; a header of another form names none."""
    file = Path(printed_row(imported(published_nafnet, *OPTIONS))["model.weights"])
    renamed = file.rename(file.with_suffix(".pth"))
    sets = (
        "model.backbone={name: nafnet, width: 8, depths: [1, 1, 1, 1, 1]}",
        "model.head={name: rgb, padding: zeros}",
    )
    with pytest.raises(ExperimentError, match='belongs to a model with name "residual" in its head'):
        load(experiment_file, Registry(), (*sets, "tables=null", f"model.weights={renamed}"))
    for header in ("[1]", '{"backbone": [1], "head": 2}', "[" * 100_000):
        save_file(read_weights(renamed), file, {"restoration-benchmark model": header})
        assert load(experiment_file, Registry(), (*sets, "tables=null", f"model.weights={file}")).rows
