"""Published searches are whole, and their pages say what their records say."""

import shutil
from pathlib import Path

import pytest

from reports import write
from reports.results.load import trial_records
from reports.results.search import read_search

STUDIES = sorted(file.parent for file in (Path(__file__).parents[2] / "reports/published").glob("*/trials.csv"))


@pytest.mark.parametrize("study", STUDIES, ids=lambda folder: folder.name)
def test_the_page_of_a_published_search_can_be_made_again(study: Path, tmp_path: Path) -> None:
    """From its few files alone: nothing is damaged, and facts and headline are those that were published."""
    copy = Path(shutil.copytree(study, tmp_path / study.name, ignore=shutil.ignore_patterns("report_from_records")))
    report = write(copy)
    assert report.damage == ()
    made, published = ((folder / "report.md").read_text() for folder in (report.page.parent, study / "report"))
    assert made.partition("\n## ")[0] == published.partition("\n## ")[0]


@pytest.mark.parametrize("study", STUDIES, ids=lambda folder: folder.name)
def test_a_published_search_counts_its_steps_by_distinct_stages(study: Path) -> None:
    """To the step, and every trial that was trained to its end has the value of its record."""
    search = read_search(study)
    assert search.settings is not None and search.settings.steps is not None
    reached: dict[str, int] = {}
    for stage in (stage for trial in search.settings.trials for stage in trial.stages):
        reached[stage.key] = max(reached.get(stage.key, 0), stage.done)
    assert search.settings.steps.trained == sum(reached.values())
    records = {record.row: record for record in trial_records(study, search.details)[0]}
    metric = search.trials.metric
    values = {f"trial.{trial.number}": trial.value for trial in search.trials.trials if trial.value is not None}
    assert values == {row: records[row].scores["val"][metric].mean for row in values}
