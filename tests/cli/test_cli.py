"""The command line as a user meets it: the whole `main`, real exit codes; real processes where a signal ends them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Command = Callable[..., tuple[int, str, str]]
Edited = Callable[[str, str], Path]


def start(*arguments: object, cwd: Path, threads: int = 1) -> subprocess.Popen[str]:
    """A process in a group of its own, as a terminal makes one for each command."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads), "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def call(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    with start(*arguments, cwd=cwd) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_run_report_and_plan(command: Command, experiment_file: Path) -> None:
    """A run writes its report and says where; a second one trains nothing; `report` makes the same page again."""
    folder = experiment_file.parent
    code, out, err = command("run", "small.yaml", cwd=folder)
    assert code == 0, err
    page = folder / "runs/small/report/index.html"
    assert f"report: {page.relative_to(folder)}" in out
    assert "6 of 6 rows to run, 14 steps to train (4 saved by shared stages)" in err
    assert "base/seed0: stage coarse done, 4 steps" in err and "from the store (4 steps not trained again)" in err
    assert "gate latency: not measured (no V100 here" in err
    written = page.read_bytes()
    maps = {file.name for file in (folder / "runs/small/base/seed0/maps").iterdir()}
    assert maps == {f"picture_0{index}.{name}.png" for index in range(3) for name in ("gain", "spots")}

    code, _, err = command("run", "small.yaml", cwd=folder)
    assert code == 0 and "all 6 rows are finished; 0 steps to train" in err and "0 steps trained" in err

    shutil.rmtree(page.parent)
    code, out, _ = command("report", "runs/small", cwd=folder)
    assert code == 0 and str(page.relative_to(folder)) in out
    assert b"base" in page.read_bytes() and len(page.read_bytes()) > 0.9 * len(written)

    code, out, _ = command("plan", "small.yaml", "--set", "protocol.psnr.steps=9", "--replace", cwd=folder)
    assert code == 0
    assert "coarse 4" in out and "stored" in out and "shared with base" not in out
    assert "to train now: 2 stages, 18 steps" in out and "passed" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing.yaml"], "nothing.yaml: no such file"),
        (["run", "small.yaml", "--set", "modle.head.name=rgb"], "did you mean 'model'"),
        (["plan", "small.yaml", "--set", "protocol.psnr.optimizer={name: adamax, bteas: [0.9]}"], "bteas"),
        (
            ["plan", "small.yaml", "--set", "protocol.psnr.patch=80"],
            "64 pixels at its shorter side, protocol.psnr",
        ),
        (
            ["plan", "small.yaml", "--set", "report.primary=ms_ssim"],
            "report.primary: no image of data.test has ms_ssim",
        ),
        (["run", "small.yaml", "--rows", "haeds.*"], "--rows haeds.*: matches no row"),
        (["run", "small.yaml", "--seeds", "a"], "write whole numbers with commas, each once"),
        (["run", "small.yaml", "--devices", "gpu"], "--devices gpu: no such device; use all, cpu, or GPUs"),
        (["run", "small.yaml", "--plugin", "mine.py"], "--plugin mine.py: no such file"),
        (["report", "nowhere"], "nowhere"),
        (["rnu"], "No such command 'rnu'"),
        (["run", "small.yaml", "--see", "0"], "--seeds"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    command: Command, experiment_file: Path, arguments: list[str], message: str
) -> None:
    """What the user can mend never shows a traceback."""
    code, _, err = command(*arguments, cwd=experiment_file.parent)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_missing_folders_and_unreadable_images_are_told(
    command: Command, experiment_file: Path, pairs: Path, tmp_path: Path
) -> None:
    """The message has the folder or file of the data, before anything is trained."""
    shutil.copytree(pairs, tmp_path / "own")
    experiment_file.write_text(experiment_file.read_text().replace(str(pairs), "own"))
    (tmp_path / "own/train/target/picture_01.png").write_bytes(b"no image")
    code, _, err = command("run", "small.yaml", cwd=tmp_path)
    assert code == 2 and "picture_01.png: not a readable image" in err and "Traceback" not in err
    shutil.rmtree(tmp_path / "own/train/target")
    code, _, err = command("run", "small.yaml", cwd=tmp_path)
    assert code == 2 and "own/train/target: no such folder" in err
    assert not list((tmp_path / "runs").rglob("record.json"))


def test_a_failed_row_gives_exit_code_1(command: Command, edited: Edited) -> None:
    """The others are done, the report is written, and the end says which row failed, where and why."""
    file = edited("direct_rgb: {model.head: {name: rgb}}", "exploding: {protocol.psnr.lr: 1e30}")
    code, out, err = command("run", file.name, cwd=file.parent)
    assert code == 1
    assert "failed: heads.exploding seed 0: stage 'psnr', step" in err
    assert (file.parent / "runs/small/base/seed0/record.json").is_file()
    assert "report: " in out


def test_list_names_components_with_options(command: Command, tmp_path: Path) -> None:
    """`list` shows name, formula or origin, and options with defaults."""
    code, out, _ = command("list", "losses", cwd=tmp_path)
    assert code == 0
    assert "ms_ssim" in out and "window_size=11" in out and "formula: " in out


def test_ctrl_c_inside_an_import_gives_exit_code_130(tmp_path: Path) -> None:
    """The interpreter remembers an interrupt inside `exec`, caught or not, and would end with the signal's code."""
    plugin = tmp_path / "nafnet.py"  # a plugin is imported before it is listed
    plugin.write_text("exec('raise KeyboardInterrupt')\n")
    code, _, err = call("list", "backbones", "--plugin", plugin, cwd=tmp_path)
    assert code == 130
    assert err.strip() == "interrupted"  # `list` stores nothing that it could go on from


def test_ctrl_c_inside_a_destructor_is_not_lost(tmp_path: Path) -> None:
    """The interpreter drops what a destructor raises; the command ends all the same, and at once."""
    plugin = tmp_path / "nafnet.py"
    plugin.write_text(
        "import time\nclass Leaving:\n    def __del__(self): raise KeyboardInterrupt\nLeaving()\ntime.sleep(60)\n"
    )
    started = time.monotonic()
    code, _, err = call("list", "backbones", "--plugin", plugin, cwd=tmp_path)
    assert code == 130 and time.monotonic() - started < 50
    assert err.strip() == "interrupted"


INTERRUPTED_SERIALISATION = """\
import pydantic
from benchmark import cli

class Leaving(pydantic.BaseModel):
    path: int = 0

    @pydantic.field_serializer("path")
    def serialise(self, path: int) -> int:
        raise KeyboardInterrupt

cli.cli.main = lambda **_options: Leaving().model_dump()
cli.main()
"""


def test_ctrl_c_that_a_library_turns_into_an_error_stays_one() -> None:
    """pydantic raises another error where Ctrl-C comes while it serialises; the command says "interrupted"."""
    arguments = [sys.executable, "-c", INTERRUPTED_SERIALISATION]
    done = subprocess.run(arguments, capture_output=True, encoding="utf-8", cwd=ROOT, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_end_a_command_as_ctrl_c_does(tmp_path: Path, sent: signal.Signals) -> None:
    """Schedulers send it before they kill: one line, exit code 130, no traceback."""
    plugin = tmp_path / "nafnet.py"
    plugin.write_text("import pathlib, time\npathlib.Path('here').touch()\ntime.sleep(60)\n")
    with start("list", "backbones", "--plugin", plugin, cwd=tmp_path) as process:
        while not (tmp_path / "here").exists():
            time.sleep(0.05)
        process.send_signal(sent)
        _, err = process.communicate(timeout=50)
    assert process.returncode == 130
    assert err.strip() == "interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [3.0, 4.5, 6.0])
def test_ctrl_c_ends_workers_in_silence(edited: Edited, seconds: float) -> None:
    """Whenever it comes, Ctrl-C to all processes gives one line, no traceback, and leaves no process behind."""
    file = edited("steps: 4, batch: 2", "steps: 5000, batch: 2")
    with start("run", file.name, cwd=file.parent, threads=2) as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    if "the same command goes on from there" in err:
        assert process.returncode == 85, err
    else:  # it came before the first stage
        assert (process.returncode, err.splitlines()[-1]) == (130, "interrupted")
    deadline = time.monotonic() + 20
    while is_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_alive(process.pid)


def is_alive(group: int) -> bool:
    """Whether any process of a process group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_a_killed_run_goes_on(edited: Edited, sent: signal.Signals) -> None:
    """Killed in the middle of training at three moments, then let run: the weights are those of an undisturbed run."""
    file = edited("steps: 3, batch: 2", "steps: 60, batch: 2")
    folder = file.parent
    code, _, err = call("run", file.name, "--output", "straight/small", cwd=folder)
    assert code == 0, err
    killed = 0
    for seconds in (4.0, 5.0, 6.5):
        with start("run", file.name, cwd=folder) as process:
            time.sleep(seconds)
            process.send_signal(sent)
            process.communicate(timeout=60)
        killed += process.returncode != 0
        assert process.returncode in (0, 85, -sent)
    assert killed
    code, _, err = call("run", file.name, cwd=folder)
    assert code == 0, err
    for row in ("base", "heads.direct_rgb", "stages.stage_1"):
        weights = [folder / where / "small" / row / "seed0/weights.safetensors" for where in ("straight", "runs")]
        assert weights[0].read_bytes() == weights[1].read_bytes()


def test_an_error_of_the_system_names_path_cause_and_remedy(
    command: Command, experiment_file: Path, tmp_path: Path
) -> None:
    """Each cause by its own name; that a command goes on from there is said of those alone that do."""
    (tmp_path / "file").touch()
    code, _, err = command("schema", "--out", "file/schema.json", cwd=tmp_path)
    assert code == 2 and err.startswith("error: file") and "is in the way of that" in err and "goes on" not in err
    code, _, err = command("run", "small.yaml", "--output", "file/run", cwd=tmp_path)
    assert code == 2 and "is in the way of that" in err and err.endswith("the same command goes on from there\n")
    code, _, err = command("schema", "--out", "x" * 300, cwd=tmp_path)
    assert code == 2 and "File name too long; choose a shorter name" in err
    code, _, err = command("data", "render", "--out", "file/faces", "--count", "1", cwd=tmp_path)
    assert code == 2 and "is in the way of that" in err and "--force" not in err
