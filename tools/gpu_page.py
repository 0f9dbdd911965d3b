"""The page of a study of one device: what each part measured, what failed, and what was not run."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from gpu_parts import Part

PUBLISHED = Path(__file__).parents[1] / "reports/published/quickstart/records.jsonl"
"""The quickstart's scores on a CPU."""


def page(parts: Sequence[Part], folder: Path) -> str:
    """Return the page as Markdown, from the files of the parts that were run, at least one."""
    files = {number: folder / f"part_{number}.json" for number in range(1, len(parts) + 1)}
    results = {number: json.loads(file.read_text("utf-8")) for number, file in files.items() if file.exists()}
    machine = next(iter(results.values()))["machine"]
    lines = [
        f"# {machine['device_name']}",
        "",
        f"Measured by `make gpu`, torch {machine['torch']}, {machine['cores']} CPU cores.",
    ]
    for number, part in enumerate(parts, 1):
        lines += ["", f"## {number}. {part.title}", ""]
        lines += _part(part, results[number]["steps"], folder) if number in results else ["Not run."]
    return "\n".join(lines) + "\n"


def _part(part: Part, steps: dict[str, Any], folder: Path) -> Iterator[str]:
    waiting = [step.name for step in part.steps if steps.get(step.name, {}).get("exit_code") != 0]
    yield f"{len(part.steps) - len(waiting)} of {len(part.steps)} commands finished."
    for name in waiting:
        step = steps.get(name)
        reason = "not run" if step is None else "ran out of time" if step["ran_out_of_time"] else "failed"
        yield f"* `{name}`: {reason}" + (f": {step['last_lines'][-1].strip()}" if step and step["last_lines"] else "")
    yield ""
    if "tests" in steps:
        yield f"* tests: {steps['tests']['last_lines'][-1].strip(' =')}"
        yield from _scores(folder)
    yield from _latencies(steps, folder)
    yield from _steps(steps)
    for name in ("plan_gunet_full", "plan_gunet_day", "base"):
        if name in steps:
            yield from (f"`{steps[name]['command']}`", "", "```", *steps[name]["last_lines"][-6:], "```", "")
    if workers := steps.get("two_workers", {}).get("measured"):
        yield f"* two workers: {workers['ratio']} times as fast as one after the other"
        yield f"* the same weights: {workers['same_weights']}"


def _scores(folder: Path) -> Iterator[str]:
    """Yield, for each row, the mean PSNR on this device beside the published one of the same seeds."""
    records = [
        json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("runs/quickstart/*/seed*/record.json"))
    ]
    done = {(record["row"], record["seed"]): record for record in records if record["status"] == "done"}
    published = {
        (record["row"], record["seed"]): record
        for record in map(json.loads, PUBLISHED.read_text("utf-8").splitlines())
        if record["status"] == "done"
    }
    shared = [key for key in done if key in published and done[key]["config"] == published[key]["config"]]
    if not shared:
        yield "* quickstart: no row with the published settings was finished"
        return
    yield from ("", "| row | seeds | PSNR here, dB | PSNR on a CPU, dB |", "|---|--:|--:|--:|")
    for row in dict.fromkeys(row for row, _ in shared):
        keys = [key for key in shared if key[0] == row]
        here, there = (
            mean(source[key]["scores"]["test"]["psnr"]["mean"] for key in keys) for source in (done, published)
        )
        yield f"| {row} | {len(keys)} | {here:.2f} | {there:.2f} |"


def _latencies(steps: dict[str, Any], folder: Path) -> Iterator[str]:
    files = [
        folder / "latency" / f"{name.removeprefix('latency_')}.json" for name in steps if name.startswith("latency_")
    ]
    networks = [
        network for file in files if file.exists() for network in json.loads(file.read_text("utf-8"))["networks"]
    ]
    if networks:
        yield from (
            "| network | image | runtime | median ms | p99 ms | remarks |",
            "|---|---|---|--:|--:|---|",
        )
    for network in networks:
        for latency in network["latencies"]:
            height, width = latency["image"]
            figures = f"{latency['median_ms']:.2f} | {latency['p99_ms']:.2f} | {'; '.join(latency['unsteady'])}"
            yield f"| {network['rows'][0]} | {height} x {width} | {latency['runtime']} | {figures} |"


def _steps(steps: dict[str, Any]) -> Iterator[str]:
    measured = [step["measured"] for name, step in steps.items() if name.startswith("steps_") and step["measured"]]
    if measured:
        yield from (
            "| network | way | ms a step | images/s | peak, GB | loss of the last step |",
            "|---|---|--:|--:|--:|--:|",
        )
    for network in measured:
        for way, figures in network["ways"].items():
            name = f"| {network['backbone']} {network['size']} | {way}"
            if "error" in figures:
                yield f"{name} | {figures['error']} | | | |"
                continue
            peak = f"{figures['peak_bytes'] / 1e9:.2f}" if "peak_bytes" in figures else "not measured"
            yield f"{name} | {figures['median_ms']} | {figures['images_per_s']} | {peak} | {figures['last_loss']:.5f} |"
