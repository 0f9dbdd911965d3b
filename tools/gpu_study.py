"""Study one device in parts of some minutes, each resumable, and put the parts together into one page.

    make gpu PART=1 OUT=gpu_study                      # the same call goes on with what is not finished
    make gpu OUT=gpu_study                             # all parts there are -> gpu_study/README.md
    python tools/gpu_study.py 1 --device cpu --small --out /tmp/study     # to try the study itself

Each part writes `part_N.json`: every command, its exit code, seconds and last lines, and what it measured. A command
that failed is run again by the next call; one that is finished never is.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

LAST_LINES = 25
GRACE_S = 20.0
"""Seconds after an interrupt before a command is killed; a run stores its state in them."""


def main() -> None:
    """Run one part, or put the parts together. Exit code 85: not finished, the same call goes on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", type=int, help="from 1; without it the parts are put together")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("gpu_study"))
    parser.add_argument("--minutes", type=float, default=8.0, help="of one call, from --started on")
    parser.add_argument("--started", type=float, default=time.time(), help="time stamp; set-up counts, too")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    from gpu_page import page
    from gpu_parts import parts_of

    check(options, parser)
    parts = parts_of(options.device, options.out, small=options.small)
    if options.part is None:
        if not list(options.out.glob("part_*.json")):
            parser.error(f"{options.out}: no part_N.json; run `make gpu PART=1 OUT={options.out}` first")
        (options.out / "README.md").write_text(page(parts, options.out), "utf-8")
        print(f"{options.out / 'README.md'}: written from the parts that are there")
        return
    if not 1 <= options.part <= len(parts):
        parser.error(f"PART={options.part}: there are parts 1 to {len(parts)}")
    ends_at, needed_s = options.started + 60 * options.minutes, GRACE_S + parts[options.part - 1].steps[0].least_s
    if 60 * options.minutes < needed_s:
        parser.error(f"--minutes {options.minutes:g}: part {options.part} needs {needed_s:.0f} s for its first command")
    is_finished = run_part(options.part, parts[options.part - 1], options.out, options.device, ends_at)
    sys.exit(0 if is_finished else 85)


def check(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with one line where the device is not there, the folder cannot be used, or what lies in it is damaged."""
    from benchmark.errors import BenchmarkError
    from benchmark.inference.device_setup import cpu_or_cuda

    file = options.out
    try:
        if options.part is not None:
            cpu_or_cuda(options.device)
            options.out.mkdir(parents=True, exist_ok=True)
        for file in sorted(options.out.glob("part_*.json")):
            _ = steps_of(file), json.loads(file.read_text("utf-8"))["machine"]
    except BenchmarkError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{options.out}: {error.strerror}; give another folder for --out")
    except (ValueError, KeyError, TypeError):
        parser.error(f"{file}: is damaged; delete it, and its part runs again")


def run_part(number: int, part: Any, folder: Path, device: str, ends_at: float) -> bool:
    """Run what is not finished of a part until its time is over; return whether all of it is finished now."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"part_{number}.json"
    results = steps_of(file) if file.exists() else {}
    for step in part.steps:
        left_s = ends_at - time.time() - GRACE_S
        if results.get(step.name, {}).get("exit_code") == 0:
            continue
        if left_s < step.least_s:
            print(f"{step.name}: waits for the next call ({left_s:.0f} s left)", flush=True)
            continue
        print(f"{step.name} ...", flush=True)
        results[step.name] = run_step(step, device, left_s)
        print(
            f"{step.name}: exit code {results[step.name]['exit_code']}, {results[step.name]['seconds']} s", flush=True
        )
        written = {"title": part.title, "machine": machine(device), "steps": results}
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps(written, indent=1), "utf-8")
        temporary.replace(file)
    return all(results.get(step.name, {}).get("exit_code") == 0 for step in part.steps)


def steps_of(file: Path) -> dict[str, Any]:
    """Return the results of a part by the names of its commands. Raises ValueError or KeyError if it is damaged."""
    steps: dict[str, Any] = dict(json.loads(file.read_text("utf-8"))["steps"])
    return steps


def run_step(step: Any, device: str, limit_s: float) -> dict[str, Any]:
    """Run one command; interrupt it at the end of its time, kill it when it does not end then."""
    command, started = [sys.executable, *step.arguments], time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RESTORATION_TEST_DEVICE": device}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    is_late = False
    try:
        text = process.communicate(timeout=limit_s)[0]
    except subprocess.TimeoutExpired:
        is_late = True
        process.send_signal(signal.SIGINT if step.goes_on else signal.SIGKILL)
        try:
            text = process.communicate(timeout=GRACE_S)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text = process.communicate()[0]
    lines = text.splitlines()
    return {
        "command": " ".join(["python", *step.arguments]),
        "exit_code": process.returncode,
        "ran_out_of_time": is_late,
        "seconds": round(time.perf_counter() - started, 1),
        "last_lines": lines[-LAST_LINES:],
        "measured": last_json(lines),
    }


def last_json(lines: list[str]) -> Any:
    """Return what a script printed as its last line of JSON, None if it printed none."""
    for line in reversed(lines):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except json.JSONDecodeError:
                return None
    return None


def machine(device: str) -> dict[str, Any]:
    """Return what the figures were measured on."""
    import torch

    from benchmark.inference.device_setup import prepare_machine
    from benchmark.processes import usable_cores

    name = prepare_machine(device).device_name
    return {"device": device, "device_name": name, "cores": usable_cores(), "torch": torch.__version__}


if __name__ == "__main__":
    main()
