"""Published studies name no folder of the machine and no user."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import write
from reports.pages.publish import publish
from reports.pages.relative_paths import relative_paths
from reports.results.load import load

Run = Callable[..., Path]
BASE = Path("/work/project")


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/work/project/data/faces", "data/faces"),
        ("/mnt/nas/My Pictures/faces", "faces"),
        ("C:\\Users\\alice\\faces", "faces"),
        ("python -m benchmark run /work/project/a.yaml --set data.train.degraded=/mnt/b/c", None),
        ("/mnt/nas/a.png: cannot be read; see 'C:\\Users\\alice\\b.png'", "a.png: cannot be read; see 'b.png'"),
        ("10 images/s, and/or 1 / 2; https://example.org/a/b", "10 images/s, and/or 1 / 2; https://example.org/a/b"),
        ("experiments/quickstart.yaml", "experiments/quickstart.yaml"),
    ],
)
def test_absolute_paths_become_relative(text: str, published: str | None) -> None:
    """Below the folder of the project they are relative to it, elsewhere the name is left; other texts stay."""
    expected = published or "python -m benchmark run a.yaml --set data.train.degraded=c"
    assert relative_paths({"a": [text, 7, None]}, BASE) == {"a": [expected, 7, None]}


def texts_of(folder: Path) -> dict[str, str]:
    """The text of all files of a study that are no pictures."""
    names = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".png", ".gz")]
    return {path.name: path.read_text(encoding="utf-8") for path in names}


def test_a_study_names_no_folder_and_no_user(
    make_run: Run, edit: Callable[..., dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings, commands, messages, the experiment and the report: what they say of folders is rewritten."""
    home = tmp_path / "home" / "alice"
    (home / "project").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "project")
    run = make_run()
    command = f"python -m benchmark run {home}/project/a.yaml --plugin {home}/plugins/own.py"
    config = {
        "data": {"train": {"degraded": f"{home}/project/pairs/degraded"}, "test": {"degraded": f"{home}/test/degraded"}}
    }
    for record in run.rglob("record.json"):
        edit(record, provenance={"command": command}, config=config)
    failure = {"message": f"{home}/test/degraded/a.png: not readable, see {home}."}
    edit(run / "base/seed1/record.json", status="failed", error=failure, scores={})
    edit(run / "plan.json", command=command)
    (run / "experiment.yaml").write_text(
        f"name: x\ndata: {{train: {{degraded: '{home}/project/my pairs/degraded'}}}}\n"
    )
    write(run)
    study = publish(run, home / "project" / "study")
    for name, text in texts_of(study).items():
        assert "alice" not in text and str(tmp_path) not in text, name
    results = load(study)
    assert results.records[0].config == {
        "data": {"train": {"degraded": "pairs/degraded"}, "test": {"degraded": "degraded"}}
    }
    assert results.plan.command == "python -m benchmark run a.yaml --plugin own.py"
    assert results.experiment_yaml.endswith("degraded: my pairs/degraded\n")
    assert results.records[1].reason == "a.png: not readable, see ~."


def test_a_real_run_has_digests_and_is_published_without_its_user(
    command: Callable[..., tuple[int, str, str]], pairs: Path, experiment_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` and `publish` in a home of their own, with data outside the project; then weights with one changed bit."""
    home = experiment_file.parent / "home" / "alice"
    project = home / "project"
    project.mkdir(parents=True)
    (home / "pairs").symlink_to(pairs)
    (project / "small.yaml").write_text(experiment_file.read_text().replace(str(pairs), f"{home}/pairs"))
    monkeypatch.setenv("HOME", str(home))
    for arguments in (
        ["run", f"{project}/small.yaml", "--rows", "base", "--seeds", "0", "--output", f"{project}/runs/small"],
        ["publish", "runs/small", "--out", "study"],
    ):
        code, _, err = command(*arguments, cwd=project)
        assert code == 0, err
    record = json.loads((project / "runs/small/base/seed0/record.json").read_text())
    assert {"scores.csv", "curve.csv", "weights.safetensors"} <= record["files"].keys()
    assert any(name.startswith("images/") for name in record["files"])
    for name, text in texts_of(project / "study").items():
        assert "alice" not in text and str(experiment_file.parent) not in text, name
    assert load(project / "study").unchecked == 0
    weights = project / "runs/small/base/seed0/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    code, _, err = command("restore", weights.parent, f"{pairs}/test/degraded", "restored", cwd=project)
    assert code == 2 and not (project / "restored").exists()
    assert err.splitlines() == [
        f"error: {weights} is damaged: its SHA-256 is not the one in record.json; run the row again"
    ]


@pytest.mark.parametrize("name", ["quickstart", "seed_claims", "protocol"])
def test_shipped_studies_name_no_folder_of_a_machine(root: Path, name: str) -> None:
    """Publishing them again would change nothing of their records."""
    for line in (root / "reports/published" / name / "records.jsonl").read_text(encoding="utf-8").splitlines():
        assert relative_paths(json.loads(line), root) == json.loads(line)
