"""Run the cases of reported faults and say of each whether the fault is still there.

A case is a shell script that builds its own input. It exits with 1 while the fault is there and with 0 once it is
mended. A script that no longer fits the code (an import or a name that is gone) is `broken`: its exit code is void.

    python tests/cases/run_cases.py [NAME ...]      from the project's root; NAME is the start of a file name
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
TIMEOUT_SECONDS = 300
MISFIT = re.compile(r"^(ImportError|ModuleNotFoundError|AttributeError|NameError|TypeError)\b.*", re.MULTILINE)
"""What the last line of a traceback begins with when a case names something that the code no longer has."""


def run_case(script: Path) -> tuple[str, str]:
    """Run one case; return its state (`mended`, `fault`, `broken`) and the line that shows why."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path}
    try:
        process = subprocess.run(
            ["bash", str(script)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            env=environment,
            cwd=FOLDER.parents[1],
        )
    except subprocess.TimeoutExpired:
        return "fault", f"not finished after {TIMEOUT_SECONDS} s"
    misfit = MISFIT.search(process.stderr)
    if misfit and process.returncode:
        return "broken", misfit[0]
    lines = (process.stdout + process.stderr).strip().splitlines()
    reasons = [line for line in lines if line.startswith(("FAULT", "FAIL"))] or lines[-1:]
    if process.returncode == 0:
        return "mended", ""
    state = "fault" if process.returncode == 1 else "broken"
    return state, (reasons[0] if reasons else f"exit {process.returncode}")


def main(names: Sequence[str]) -> int:
    """Print a line for each case; return 1 if one is broken."""
    scripts = sorted(script for script in FOLDER.glob("[!_]*.sh") if not names or script.name.startswith(tuple(names)))
    states: list[str] = []
    for script in scripts:
        state, reason = run_case(script)
        states.append(state)
        print(f"{state:8} {script.stem:40} {reason[:150]}", flush=True)
    print(", ".join(f"{states.count(state)} {state}" for state in ("fault", "mended", "broken")))
    return int("broken" in states)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
