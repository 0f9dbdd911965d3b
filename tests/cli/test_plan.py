"""What `plan` says besides its table."""

from pathlib import Path

from click.testing import CliRunner
from PIL import Image

from benchmark.cli import cli
from benchmark.cli.experiment_setup import advice, device_lines, prepare
from benchmark.cli.options import Selection
from benchmark.data.sources.photographs import Photographs


def test_a_plan_of_days_names_the_ways_out(experiment_file: Path) -> None:
    """Below a day nothing is said; above, that it may be stopped, that it has no GPU, and the short form."""
    experiment_file.write_text(experiment_file.read_text() + "short_form: tiny.yaml\n")
    plan = prepare(Selection(experiment_file, None, (), (), (), "cpu", (), replace=False)).plan
    assert advice(plan, 3600) == []
    told = "\n".join(advice(plan, 1e6))
    assert "stop it whenever you like" in told and "without a GPU" in told and told.endswith("small scale: tiny.yaml")


def test_a_plan_says_how_long_it_takes_on_more_devices(experiment_file: Path) -> None:
    """Two rows of two stages of an hour each; stage_1 shares that of base. Nothing to train is no line."""
    plan = prepare(Selection(experiment_file, None, (), (), (), "cpu", (), replace=False)).plan
    (line,) = device_lines(plan, dict.fromkeys(plan.stages, 3600.0))
    assert line.endswith(": 1: 4 h 0 min, 2: 2 h 0 min, 4: 2 h 0 min, 8: 2 h 0 min")
    assert device_lines(plan, {}) == []


def test_plan_refuses_a_picture_without_skin_as_run_does(experiment_file: Path, tmp_path: Path) -> None:
    """In the same line, and at the second call too; with faces alone `plan` goes on."""
    (tmp_path / "faces").mkdir()
    face = Photographs(size=128).faces.read_exactly(0)[1]
    Image.fromarray(face).save(tmp_path / "faces/first.png")
    Image.new("RGB", (128, 128), (0, 0, 255)).save(tmp_path / "faces/sky.png")
    setting = f"photographs={{folder: {tmp_path / 'faces'}, size: 128, preset: severe}}"
    arguments = [str(experiment_file), "--set", setting, "--output", str(tmp_path / "runs/small"), "--device", "cpu"]
    lines = [CliRunner().invoke(cli, [name, *arguments]).exception for name in ("plan", "run", "plan")]
    assert {str(line) for line in lines} == {
        f"{tmp_path / 'faces/sky.png'}: no skin where a face aligned as in FFHQ has it; take it out or give a "
        "mask_folder"
    }
    (tmp_path / "faces/sky.png").unlink()
    assert CliRunner().invoke(cli, ["plan", *arguments]).exception is None
