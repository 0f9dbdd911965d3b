"""What each part of the study of one device runs: commands of the suite and of its tests, most important first."""

from dataclasses import dataclass
from pathlib import Path

from benchmark.registry import Registry

SMALL_RUN = ("--set", "protocol.coarse.steps=2", "--set", "protocol.psnr.steps=2", "--set", "protocol.score.steps=2")
"""Options that make the quickstart a matter of seconds."""
SMALL_STUDY = ("gunet", "nafnet")
"""Backbones of a study in small."""


@dataclass(frozen=True)
class Step:
    """One command of a part."""

    name: str
    arguments: tuple[str, ...]
    """Of Python, from the root of the project."""
    least_s: float = 30.0
    """It does not start with less time left than this."""
    goes_on: bool = False
    """Whether the same command goes on after an interrupt, so that it may be interrupted at the end of the time."""


@dataclass(frozen=True)
class Part:
    """One call of the study, of some minutes."""

    title: str
    steps: tuple[Step, ...]


def parts_of(device: str, folder: Path, *, small: bool) -> tuple[Part, ...]:
    """Return all parts of the study of a device.

    Args:
        device: `cuda`, `cuda:N` or `cpu`.
        folder: Where the commands write.
        small: Two tiny networks, small images and hardly a training step: to try the study itself.
    """
    registry = Registry()
    backbones = SMALL_STUDY if small else tuple(registry.names("backbone"))
    return (
        Part("Correctness: tests on the device, and the quickstart's scores", _correctness(device, folder, small)),
        Part("Latency of the small networks, by the full protocol", _latencies(device, folder, backbones, small)),
        Part("The reference at its real size", _flagship(device, folder, small)),
        Part("Training speed", _training_speed(device, backbones, registry, small)),
        Part("Memory gates and two workers", _memory_and_workers(device, folder, small)),
    )


def _correctness(device: str, folder: Path, small: bool) -> tuple[Step, ...]:
    run = _run("quickstart", device, folder, *(("--rows", "base", "--seeds", "0") if small else ()))
    chosen = ("-k", "tiny_network") if small else ()
    tests = ("-m", "pytest", "tests/cuda", "-m", "cuda", "-q", *chosen)
    return (
        Step("tests", tests, 60),
        Step("quickstart", (*run, *(SMALL_RUN if small else ())), 60, goes_on=True),
    )


def _latencies(device: str, folder: Path, backbones: tuple[str, ...], small: bool) -> tuple[Step, ...]:
    if small:
        protocol = ("--size", "tiny", "--protocol", "quick", "--seconds", "0.2", "--image", "64", "64")
    else:
        protocol = ("--size", "small", "--protocol", "full", "--image", "512", "512", "--image", "1024", "1024")
    return tuple(
        Step(
            f"latency_{name}",
            (
                *("-m", "benchmark", "measure", "--backbone", name, *protocol, "--device", device),
                *("--json", str(folder / "latency" / f"{name}.json")),
            ),
            60,
        )
        for name in backbones
    )


def _flagship(device: str, folder: Path, small: bool) -> tuple[Step, ...]:
    if small:
        base = (*_run("quickstart", device, folder), "--rows", "base", "--seeds", "1", *SMALL_RUN)
        return (Step("base", base, 30, goes_on=True),)
    plans = tuple(
        Step(f"plan_{name}", ("-m", "benchmark", "plan", f"experiments/{name}.yaml", "--device", device))
        for name in ("gunet_full", "gunet_day")
    )
    # Trained as far as the time goes; the next call goes on from the stored state.
    base = (*_run("gunet_day", device, folder), "--rows", "base", "--seeds", "0", "--yes")
    return (*plans, Step("base", base, 60, goes_on=True))


def _training_speed(device: str, backbones: tuple[str, ...], registry: Registry, small: bool) -> tuple[Step, ...]:
    script = ("tests/benchmarks/device_steps.py",)
    if small:
        size = ("--size", "tiny", "--device", device, "--batch", "1", "--patch", "64", "--steps", "2", "--eager")
        return tuple(Step(f"steps_{name}", (*script, name, *size)) for name in backbones)
    networks = [
        ("gunet", "t"),
        *((name, "small") for name in backbones if "small" in registry.find("backbone", name).sizes),
    ]
    return tuple(
        Step(f"steps_{name}_{size}", (*script, name, "--size", size, "--device", device), 90) for name, size in networks
    )


def _memory_and_workers(device: str, folder: Path, small: bool) -> tuple[Step, ...]:
    experiment = "experiments/quickstart.yaml" if small else "experiments/gunet_full.yaml"
    memory = ("-m", "benchmark", "measure", experiment, "--rows", "base", "--device", device, "--seconds", "0.5")
    workers = ("tests/benchmarks/two_workers.py", "--device", device, "--steps", "2" if small else "400")
    return (
        Step("memory", (*memory, "--json", str(folder / "memory.json")), 60),
        Step("two_workers", workers, 60),
    )


def _run(name: str, device: str, folder: Path, *options: str) -> tuple[str, ...]:
    output = ("--output", str(folder / "runs" / name))
    return ("-m", "benchmark", "run", f"experiments/{name}.yaml", "--device", device, *output, *options)
