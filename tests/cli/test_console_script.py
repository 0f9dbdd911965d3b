"""The short command `restobench`: the same command line, with versions and completion."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The console script as an installer writes it, from the entry in pyproject.toml, on the search path."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = entries["restobench"].partition(":")
    assert callable(getattr(import_module(module), function))
    file = tmp_path / "bin/restobench"
    file.parent.mkdir()
    file.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    file.chmod(0o755)
    return file


def call(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    search = {"PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["restobench", *arguments] if not environment else [str(script)],
        env={**os.environ, **search, **environment},
        capture_output=True,
        text=True,
        check=False,
        executable=str(script),
    )


def test_messages_name_the_command_that_was_typed(script: Path) -> None:
    """Usage and mistakes say `restobench`, where `python -m benchmark` says itself."""
    assert call(script, "--help").stdout.startswith("Usage: restobench [OPTIONS] COMMAND")
    mistake = call(script, "restor")
    assert (mistake.returncode, mistake.stderr) == (
        2, "error: No such command 'restor'; did you mean 'restore'?; see restobench --help\n",
    )  # fmt: skip


def test_the_version_is_that_of_the_installation(script: Path) -> None:
    """Project, Python, torch and where the code lies, in one line for a bug report."""
    done = call(script, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("restoration-benchmark ")
    assert f"Python {sys.version.split()[0]}, torch " in done.stdout and str(ROOT) in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(script: Path, shell: str) -> None:
    """It calls `restobench` with the variable that this answers to."""
    printed = call(script, "completion", shell)
    assert printed.returncode == 0 and not printed.stderr
    assert f"_RESTOBENCH_COMPLETE={shell}_complete" in printed.stdout


def test_bash_completes_commands_options_and_choices(script: Path) -> None:
    """In a real bash: what the Tab key would offer."""
    bash = shutil.which("bash")
    assert bash
    program = """
source <(restobench completion bash)
for line in "restobench resto" "restobench restore --runt" "restobench restore --runtime open" "restobench data ren"; do
    COMP_WORDS=($line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _restobench_completion restobench
    echo "${COMPREPLY[@]}"
done
"""
    done = subprocess.run(
        [bash, "-c", program],
        env={**os.environ, "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["restore", "--runtime", "openvino", "render"], done.stderr


def test_completion_of_a_command_imports_none(script: Path) -> None:
    """The list comes from the table: a Tab takes no longer than `--help`."""
    done = call(
        script,
        COMP_WORDS="restobench ",
        COMP_CWORD="1",
        _RESTOBENCH_COMPLETE="bash_complete",
        PYTHONPROFILEIMPORTTIME="1",
    )
    assert "plain,restore" in done.stdout.splitlines()
    assert not {"benchmark.cli.restore", "torch", "numpy"} & {
        line.split("|")[-1].strip() for line in done.stderr.splitlines()
    }
