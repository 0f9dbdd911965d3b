"""`doctor` on sound installations and on ones broken on purpose."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmark.cli import cli
from benchmark.doctor import checks
from benchmark.doctor.probe import Finding, Probed, probe

ROOT = Path(__file__).parents[2]
CPU_TORCH = Probed({"version": "2.13.0+cpu", "cuda": None, "hip": None})
CUDA_TORCH = Probed({"version": "2.15.0", "cuda": "13.2", "hip": None})
MACHINE: dict[str, Any] = {
    "threads": 4,
    "usable_cores": 4,
    "allocator": "kept",
    "pages": 1000,
    "faults": 0,
    "memory_bytes": 10**15,
    "missing": {},
}
DRIVER = "Tesla V100, driver 570.1"


def package(folder: Path, name: str, code: str) -> None:
    """A package that takes the place of the real one."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code)


def doctor(folder: Path) -> tuple[int, str]:
    """Exit code and output of `doctor` where the packages in a folder come first."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "doctor"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def test_it_survives_a_torch_that_cannot_be_imported(tmp_path: Path) -> None:
    """A torch with a missing library fails with its error and a mending line; what needs no torch is still checked."""
    package(tmp_path, "torch", "raise OSError('libcudart.so.13: cannot open shared object file')")
    code, out = doctor(tmp_path)
    assert code == 1
    assert "fail    torch " in out and "OSError: libcudart.so.13: cannot open" in out
    assert "-> pip install --upgrade --force-reinstall torch torchvision" in out
    assert "warn    torchvision, timm" in out and "warn    threads" in out
    assert "ok      python" in out and "runs folder" in out and "mend what fails above first" in out


@pytest.mark.slow  # what the checks make of it: test_findings_that_are_not_ok_say_how_to_mend_it
def test_a_torchvision_of_another_build_fails_with_what_mends_it(tmp_path: Path) -> None:
    """The known trap: torchvision's operators are missing, so timm cannot be imported; torch itself is fine."""
    package(tmp_path, "torchvision", "raise RuntimeError('operator torchvision::nms does not exist')")
    (tmp_path / "torchvision/version.py").write_text("__version__ = '0.28.0+cu130'\n")
    code, out = doctor(tmp_path)
    assert code == 1
    assert "ok      torch " in out
    assert "torchvision 0.28.0+cu130 does not fit torch" in out and "torchvision::nms does not exist" in out


@pytest.mark.slow
def test_a_sound_installation_is_sound() -> None:
    """Here, where the tests run, Python, packages, torch and timm are in order, and nothing but torch's own fails."""
    result = CliRunner().invoke(cli, ["doctor"], standalone_mode=False)
    for name in ("python", "packages", "torch", "torchvision, timm", "allocator"):
        assert f"ok      {name:<18}" in result.output, result.output
    assert result.return_value == 0


def test_a_package_that_kills_its_process_is_reported_and_the_next_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a package prints is no result, a crash is one, and the packages after it get a process of their own."""
    package(tmp_path, "noisy", "print('hello', end='', flush=True); __version__ = '1.2'")
    package(tmp_path, "deadly", "import os, sys; sys.stderr.write('illegal instruction\\n'); os._exit(132)")
    package(tmp_path, "after", "__version__ = '3'")
    monkeypatch.syspath_prepend(tmp_path)
    probed = probe(["noisy", "deadly", "after", "missing_altogether"], seconds=60)
    assert probed["noisy"] == Probed({"version": "1.2"})
    assert probed["deadly"].error == "its process died (exit code 132): illegal instruction"
    assert probed["after"] == Probed({"version": "3"})
    assert probed["missing_altogether"].error == "ModuleNotFoundError: No module named 'missing_altogether'"


@pytest.mark.slow
def test_a_package_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit holds; results of packages before it count, and those after it say that they were not tried."""
    package(tmp_path, "quick", "__version__ = '1'")
    package(tmp_path, "endless", "import time; time.sleep(1000)")
    monkeypatch.syspath_prepend(tmp_path)
    probed = probe(["quick", "endless", "later"], seconds=6)
    assert probed["quick"].error == ""
    assert "took longer than" in probed["endless"].error and "took longer than" in probed["later"].error


@pytest.mark.parametrize(
    ("torch", "gpu", "driver", "visible", "verdict", "words"),
    [
        (CPU_TORCH, Probed({"gpus": []}), "", None, "absent", "no NVIDIA driver"),
        (CPU_TORCH, Probed({"gpus": []}), DRIVER, None, "warn", "is built without CUDA"),
        (CUDA_TORCH, Probed({}, "RuntimeError: driver is too old"), DRIVER, None, "fail", "--torch-backend=auto"),
        (CUDA_TORCH, Probed({}, "no kernel image is available"), DRIVER, None, "fail", "kernels for older GPUs"),
        (CUDA_TORCH, Probed({"gpus": []}), DRIVER, None, "fail", "docker run --gpus all"),
        (CUDA_TORCH, Probed({}, "No CUDA GPUs are available"), DRIVER, "", "warn", "unset CUDA_VISIBLE_DEVICES"),
        (Probed({}, "broken"), Probed({}, "broken"), DRIVER, None, "warn", "mend torch first"),
        (CUDA_TORCH, Probed({"gpus": [{"name": "V100", "memory_bytes": 16e9}]}), DRIVER, None, "ok", "V100, 16 GB"),
    ],
)
def test_gpus_that_go_unused_are_reported(
    torch: Probed, gpu: Probed, driver: str, visible: str | None, verdict: str, words: str
) -> None:
    """A driver without a torch that uses it is never ok, and each case has its own mending line."""
    finding = checks.gpu(torch, gpu, driver, visible)
    assert finding.verdict == verdict
    assert words in f"{finding.text} {finding.mend}"


@pytest.mark.parametrize(
    ("changes", "setting", "verdict", "mend"),
    [
        ({}, None, "ok", ""),
        ({"threads": 8}, "8", "warn", "export OMP_NUM_THREADS=4"),
        ({"usable_cores": 2}, None, "warn", "export OMP_NUM_THREADS=2"),
        ({"threads": 1}, "1", "warn", "unset OMP_NUM_THREADS"),
        ({"threads": 2, "usable_cores": 2}, "2", "ok", ""),
    ],
)
def test_threads_fit_the_cores(changes: dict[str, int], setting: str | None, verdict: str, mend: str) -> None:
    """More threads than usable cores, and fewer, are a warning with the number that fits."""
    finding = checks.threads({**MACHINE, **changes}, setting)
    assert (finding.verdict, finding.mend) == (verdict, mend)


@pytest.mark.parametrize(
    ("changes", "verdict"), [({}, "ok"), ({"faults": 900}, "warn"), ({"allocator": "default"}, "warn")]
)
def test_the_allocator_is_tried_not_trusted(changes: dict[str, object], verdict: str) -> None:
    """Memory that was to be kept and still faults when used again is a warning."""
    assert checks.allocator({**MACHINE, **changes}).verdict == verdict


def test_a_container_with_little_memory_fails() -> None:
    """The limit of a container counts, not the memory of the machine around it."""
    finding = checks.memory({**MACHINE, "memory_bytes": 5 * 10**8})
    assert finding.verdict == "fail" and "of 0.5 GB" in finding.text and finding.mend


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("pytest>=1.0", None),
        ("pytest>=1000", "fail"),
        ("no-such-package-anywhere>=1", "fail"),
        ('no-such-package-anywhere>=1; extra == "test"', None),
        ('pytest>=1000; extra == "test"', "warn"),
    ],
)
def test_versions_are_compared_with_what_the_project_asks_for(line: str, verdict: str | None) -> None:
    """A package that is missing or too old fails; one of an extra may be missing."""
    finding = checks.requirement(line)
    assert (finding and finding.verdict) == verdict
    assert finding is None or finding.mend == f"pip install '{line.partition(';')[0]}'"


def test_folders_that_cannot_be_written_fail(tmp_path: Path) -> None:
    """A folder yet to be made is judged by the nearest one above it and is not made; a file above it fails."""
    assert checks.runs_folder(tmp_path / "a/b").verdict in ("ok", "warn") and not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    finding = checks.runs_folder(tmp_path / "file/runs")
    assert finding.verdict == "fail" and "--output" in finding.mend


def test_findings_that_are_not_ok_say_how_to_mend_it() -> None:
    """The contract of findings also holds for those of optional packages."""
    torch = CPU_TORCH.result
    broken = dict.fromkeys(checks.RUNTIMES.values(), Probed({}, "broken"))
    missing = dict.fromkeys(checks.RUNTIMES, "onnx not installed; pip install 'restoration-benchmark[onnx]'")
    findings: list[Finding] = [
        *(checks.runtime(name, broken, {"missing": missing}) for name in checks.RUNTIMES),
        *(checks.runtime(name, broken, {"missing": dict.fromkeys(missing)}) for name in checks.RUNTIMES),
        checks.timm(torch, {"torchvision": Probed({}, "nms"), "timm": Probed({}, "nms")}),
        checks.timm(torch, {"torchvision": Probed({"version": "1"}), "timm": Probed({}, "no")}),
        checks.torch(Probed({}, "ModuleNotFoundError: No module named 'torch'")),
    ]
    assert all(finding.verdict != "ok" and finding.mend for finding in findings)
    assert {finding.verdict for finding in findings[: len(missing)]} == {"absent"}
