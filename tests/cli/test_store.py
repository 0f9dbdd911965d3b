"""`store`: listing, verifying and pruning what a real run left."""

import shutil
from pathlib import Path

import pytest

from tests.cli.test_cli import Command, Edited, call, start


def test_list_verify_and_prune(command: Command, experiment_file: Path) -> None:
    """A damaged stage is found, only what is asked for is deleted, and the next run trains it again."""
    folder = experiment_file.parent
    assert command("run", "small.yaml", "--rows", "base", cwd=folder)[0] == 0
    code, out, _ = command("store", "list", cwd=folder)
    assert code == 0 and out.count("finished") == 2 and out.count("small") == 2 and "2 stages, " in out

    code, out, _ = command("store", "prune", "--experiment", "small", cwd=folder)
    assert code == 0 and out.count("would delete: ") == 2 and "nothing is deleted without --delete" in out
    code, out, err = command("store", "prune", cwd=folder)
    assert code == 2 and "say what to take: --older-than, --unused, --experiment or --down-to" in err
    code, _, err = command("store", "prune", "--experiment", "smal", cwd=folder)
    assert code == 2 and "no stage belongs to 'smal'; there are small" in err

    weights = next((folder / "runs/.stages").glob("*/weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-8])
    code, out, _ = command("store", "verify", cwd=folder)
    assert code == 1 and f"damaged: {weights.parent.name}" in out and "1 of 2 finished stages are sound" in out

    aside = weights.parents[1] / ".damaged/0123.1"
    aside.mkdir(parents=True)
    (aside / weights.name).write_bytes(weights.read_bytes())
    code, out, _ = command("store", "list", cwd=folder)
    assert code == 0 and "0123.1" in out.splitlines()[-2] and "set aside" in out and "3 stages, " in out

    shutil.rmtree(folder / "runs/small")
    code, out, _ = command("store", "prune", "--unused", "--delete", cwd=folder)
    assert code == 0 and out.count("deleted: ") == 3 and not list((folder / "runs/.stages").glob("[0-9a-f]*"))
    assert not list(aside.parent.iterdir())


@pytest.mark.slow
def test_two_commands_train_a_stage_once(edited: Edited) -> None:
    """Runs of one file side by side, into two folders with one store: each stage is trained by one of them alone."""
    file = edited("steps: 4, batch: 2", "steps: 60, batch: 2")
    outputs = ("runs/first", "runs/second")
    started = [start("run", file.name, "--output", output, cwd=file.parent) for output in outputs]
    ends = [(*process.communicate(timeout=200), process.returncode) for process in started]
    assert [code for *_, code in ends] == [0, 0]
    told = "".join(err for _, err, _ in ends)
    assert told.count("stage coarse done") + told.count("stage psnr done") == told.count("steps in")
    trained = [int(err.split(" steps trained")[0].rsplit(" ", 1)[1].replace(",", "")) for _, err, _ in ends]
    code, _, err = call("run", file.name, "--output", "straight/alone", cwd=file.parent)
    assert code == 0
    assert f"{sum(trained)} steps trained" in err.replace(",", "")
