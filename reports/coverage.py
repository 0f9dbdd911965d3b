"""Measures how often the intervals hold what they promise, and publishes it.

    python -m reports.coverage --tables 2000

prints a Markdown table and writes `published/coverage.json`, which the report's appendix shows.
"""

# ruff: noqa: T201 -- printing is what the command is for

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from reports.pages import markdown
from reports.statistics.coverage import PUBLISHED, cases, grid
from reports.statistics.intervals import ERROR_RATE


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=int, default=2000, help="simulated tables a case (default 2000)")
    parser.add_argument("--output", type=Path, default=PUBLISHED, help="where the figures go")
    options = parser.parse_args()
    found = list(cases(options.tables))
    data = {"nominal": 1 - ERROR_RATE, "tables": options.tables, "cases": [asdict(case) for case in found]}
    options.output.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(markdown.table(grid(found)))


if __name__ == "__main__":
    main()
