"""The report writer, killed at any moment: the pages are whole, and the next writer leaves no trace of it."""

import multiprocessing
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.file_access import remove_abandoned
from reports.pages import Page, files, run_page
from reports.results.load import load

KILLS = int(os.environ.get("KILLS", "20"))
"""`KILLS=300 pytest -m torture tests/reports/test_report_kills.py` for more."""
PAGES = ("index.html", "report.md")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _save(page: Page, folder: Path) -> None:
    remove_abandoned.cache_clear()  # this process begins as a copy of the test's
    files.save(page, folder)


def start_writer(page: Page, folder: Path) -> multiprocessing.process.BaseProcess:
    """A process that writes the page."""
    process = multiprocessing.get_context("fork").Process(target=_save, args=(page, folder))
    process.start()
    return process


@pytest.mark.torture
def test_a_killed_report_writer(make_run: Callable[..., Path], tmp_path: Path) -> None:
    """Each page is the old or the new one and finds its figures; the next writer leaves what it leaves otherwise."""
    runs = [make_run("old"), make_run("new", rows={"base": None, "losses.l1": "losses"}, seeds=(0, 1, 2))]
    pages = [run_page.build(load(run)) for run in runs]
    for index, page in enumerate(pages):
        files.save(page, tmp_path / f"whole{index}")
    whole = [contents(tmp_path / f"whole{index}") for index in range(2)]
    assert all(whole[0][name] != whole[1][name] for name in PAGES) and whole[0].keys() != whole[1].keys()
    folder, kills, amid, rng = tmp_path / "report", 0, 0, random.Random(0)
    files.save(pages[0], folder)
    began = time.monotonic()
    start_writer(pages[0], folder).join()
    seconds = time.monotonic() - began
    while kills < KILLS:
        new = (kills + 1) % 2
        writer = start_writer(pages[new], folder)
        time.sleep(rng.uniform(0, seconds))
        if not writer.is_alive():
            writer.join()
            start_writer(pages[1 - new], folder).join()
            continue
        writer.kill()
        writer.join()
        kills += 1
        present = contents(folder)
        amid += present not in whole
        for name, data in present.items():
            assert ".writing-" in name or data in [report[name] for report in whole if name in report], name
        for figure in re.findall(r"\((figures/[^)\s]+)\)", present["report.md"].decode()):
            assert figure in present, f"report.md shows {figure}"
        writer = start_writer(pages[new], folder)
        writer.join()
        assert writer.exitcode == 0 and contents(folder) == whole[new]
    print(f"{kills} kills, {amid} of them amid the writing")
    assert amid >= kills // 10, "the kills came too early or too late to show anything"
