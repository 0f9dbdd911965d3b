"""The study of a search in optuna-dashboard, in a real browser: what a trial is, and why it was not trained."""

import dataclasses
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmark.search.search import Setup, open_trials

pytestmark = pytest.mark.slow

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: the dashboard is not seen")
pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is missing: it is not tried")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_SECONDS = 120.0
WIDTH = ("protocol.coarse.lr: {choices: [1e-3, 2e-3]}", "model.backbone.width: {choices: [4, 16]}")
WIDE_IS_TOO_LARGE = ("size: {limit_bytes: 10_000_000}", "size: {limit_bytes: 20_000}")


@pytest.fixture
def searched(set_up: Callable[..., Setup]) -> Setup:
    """A finished search in which wide networks fail a gate."""
    setup = set_up(
        WIDTH, WIDE_IS_TOO_LARGE, ("psnr.lr: {low: 1e-5, high: 1e-3, log: true}", "psnr.lr: {choices: [1e-4, 1e-3]}")
    )
    setup = dataclasses.replace(setup, search=dataclasses.replace(setup.search, trials=4))
    with open_trials(setup, lambda event: None, replace=False) as trials:
        trials.run()
    return setup


@pytest.fixture
def address(searched: Setup) -> Iterator[str]:
    """Of the study in the dashboard, which reads the journal of the search."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "optuna-dashboard"
    command = [str(program), str(searched.storage), "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address, deadline, study = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE_SECONDS, None
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{address}/api/studies") as answer:
                (study,) = json.load(answer)["study_summaries"]
                break
            time.sleep(0.2)
        assert study
        yield f"{address}/dashboard/studies/{study['study_id']}"
    finally:
        process.kill()
        process.wait()


def test_the_dashboard_shows_what_a_trial_is(address: str, searched: Setup) -> None:
    """Its number, parameters and the folder of its row, what it reached, and the gates that it failed."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium): the dashboard is not seen")
    trials = read_trials(searched)
    rejected, done = (next(n for n, status in trials.items() if status == wanted) for wanted in ("rejected", "done"))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1600})
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        text = {}
        for number in (rejected, done):
            page.goto(f"{address}/trials?numbers={number}")
            page.get_by_text(f"trial.{number}/seed0").first.wait_for()
            text[number] = page.locator("body").inner_text()
        browser.close()
    for number, shown in text.items():
        assert f"trial.{number}/seed0" in shown and "parameters" in shown and "model.backbone.width" in shown
    assert "failed_gates" in text[rejected] and "size" in text[rejected] and "rejected" in text[rejected]
    assert "failed_gates" not in text[done] and "done" in text[done]


def read_trials(setup: Setup) -> dict[int, str]:
    lines = (setup.context.output / "trials.csv").read_text().splitlines()[1:]
    return {int(line.split(",")[0]): line.split(",")[1] for line in lines}
