"""A plan of 10,000 stages is made, and fits into little memory; `make bench` prints the seconds that it takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_plan_of_ten_thousand_stages_fits_into_memory() -> None:
    """The memory includes torch."""
    command = [sys.executable, str(Path(__file__).with_name("large_plan.py"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["stages"] == 10_000
    assert measured["peak_megabytes"] < 1000
