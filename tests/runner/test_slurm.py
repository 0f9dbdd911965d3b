"""`--executor slurm`: what is submitted, in which order it runs, and what becomes of failed and interrupted jobs."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.files import read_json
from benchmark.runner.job_list import ListedJob
from benchmark.runner.slurm import SlurmQueue, job_script, slurm_jobs, submission_script
from tests.runner.clusters import Cluster

Command = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def fake_python(tmp_path: Path) -> Path:
    """In place of the interpreter: it fails jobs called `bad`, and stops those called `slow` at their first SIGTERM."""
    file = tmp_path / "python"
    file.write_text(
        "#!/bin/bash\n"
        'echo "$@"\n'
        f'if [ "$5" = slow ] && [ ! -e {tmp_path}/state ]; then\n'
        f"  trap 'touch {tmp_path}/state; exit 85' TERM\n"
        "  while :; do sleep 0.05; done\n"
        "fi\n"
        'if [ "$5" = bad ]; then exit 1; fi\n'
    )
    file.chmod(0o755)
    return file


def plan_of(*needs: tuple[str, str]) -> list[ListedJob]:
    """Return jobs by name with the name of what each needs; "" for nothing."""
    return [ListedJob(name, "stage", name, (need,) if need else (), ("row",)) for name, need in needs]


PLAN = plan_of(("first", ""), ("bad", ""), ("second", "first"), ("after bad", "bad"), ("slow", "second"))


def submitted(output: Path, python: Path, plan: list[ListedJob] = PLAN, *options: str) -> int:
    output.mkdir(parents=True, exist_ok=True)
    script = job_script(output, has_gpu=False, threads=2, python=str(python))
    return SlurmQueue(output).submit(slurm_jobs(plan, output, (), ["run", "x.yaml", "--follow-up"]), script, options)


def test_each_job_waits_for_those_it_needs_and_the_follow_up_for_all(
    cluster: Cluster, fake_python: Path, tmp_path: Path
) -> None:
    """A failed job stops nobody: what needs it still runs, and finds out by itself what it lacks."""
    output = tmp_path / "runs/small"
    assert submitted(output, fake_python) == len(PLAN) + 1
    (tmp_path / "state").touch()
    codes = cluster.run()
    order = [name.removeprefix("small.") for name in cluster.order]
    assert order.index("first") < order.index("second") < order.index("slow")
    assert order.index("bad") < order.index("after.bad") and order[-1] == "follow-up"
    assert {name: code for name, code in codes.items() if code} == {"small.bad": 1}
    log = (output / ".slurm/small.second.3.log").read_text()
    assert log == f"-m benchmark job {output} second\n"


def test_a_job_near_its_time_limit_is_queued_again(cluster: Cluster, fake_python: Path, tmp_path: Path) -> None:
    """The signal before the limit becomes SIGTERM, the job stores its state and ends with 85; it goes on later."""
    output = tmp_path / "runs/small"
    submitted(output, fake_python, plan_of(("slow", "")))
    assert cluster.run(usr1_after=0.5) == {"small.slow": 0, "small.follow-up": 0}
    assert cluster.order == ["small.slow", "small.slow", "small.follow-up"]


def test_a_job_that_fails_is_not_queued_again(cluster: Cluster, fake_python: Path, tmp_path: Path) -> None:
    """Only the code 85 says that it can be resumed."""
    submitted(tmp_path / "runs/small", fake_python, plan_of(("bad", "")))
    cluster.run()
    assert cluster.order == ["small.bad", "small.follow-up"]


def test_what_is_in_the_queue_is_not_submitted_again(cluster: Cluster, fake_python: Path, tmp_path: Path) -> None:
    """New jobs wait for those that are in it, and get a follow-up of their own."""
    output = tmp_path / "runs/small"
    assert submitted(output, fake_python, PLAN[:2]) == 3
    assert submitted(output, fake_python, PLAN[:2]) == 0
    assert submitted(output, fake_python, PLAN[:3]) == 2
    jobs = [*cluster.jobs().values()]
    assert [job["name"] for job in jobs[3:]] == ["small.second", "small.follow-up"]
    assert jobs[3]["after"] == ["1"] and jobs[4]["after"] == ["2", "4"]


def test_options_of_the_user_come_after_those_of_the_script(
    cluster: Cluster, fake_python: Path, tmp_path: Path
) -> None:
    """So they override them."""
    submitted(tmp_path / "runs/small", fake_python, PLAN[:1], "--partition=gpu", "--time=60")
    (job, _) = cluster.jobs().values()
    assert job["options"]["--partition"] == "gpu" and job["options"]["--time"] == "60"
    assert {"--requeue", "--open-mode=append", "--signal=B:USR1@120", "--cpus-per-task=2"} <= set(job["header"])


def test_a_refused_job_is_one_line(
    cluster: Cluster, fake_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names what was called, what SLURM says, and what to do; so does a machine without SLURM."""
    with pytest.raises(BenchmarkError, match="invalid partition specified: none; 0 jobs were submitted; the options"):
        submitted(tmp_path / "runs/small", fake_python, PLAN, "--partition=none")
    monkeypatch.setenv("PATH", str(tmp_path))  # SLURM itself may be installed here
    with pytest.raises(BenchmarkError, match="squeue is not installed here; run this on a login node"):
        submitted(tmp_path / "runs/small", fake_python)


def test_the_script_of_a_dry_run_submits_the_same(cluster: Cluster, fake_python: Path, tmp_path: Path) -> None:
    output = tmp_path / "runs/small"
    script = job_script(output, has_gpu=True, threads=1, python=str(fake_python))
    jobs = slurm_jobs(PLAN, output, (), ["run", "x.yaml", "--follow-up"])
    text = submission_script(jobs, output, script, ["--partition=gpu"])
    assert "#SBATCH --gres=gpu:1 --cpus-per-task=4" in text
    subprocess.run(["bash", "-e", "-c", text], check=True)
    by_script = cluster.jobs()
    shutil.rmtree(cluster.queue)
    cluster.queue.mkdir()
    SlurmQueue(output).submit(jobs, script, ["--partition=gpu"])
    assert [*by_script.values()] == [*cluster.jobs().values()]


def test_a_dry_run_writes_nothing(experiment_file: Path, command: Command) -> None:
    """It needs no SLURM, prints one call of sbatch for each job, and leaves the folder of the run alone."""
    code, out, _ = command(
        *("run", experiment_file, "--devices", "cpu", "--executor", "slurm", "--sbatch", "--time=60", "--dry-run")
    )
    calls = [line for line in out.splitlines() if "$(sbatch" in line]
    networks, baselines, stages, rows, follow_up = 2, 3, 4, 3, 1
    assert code == 0 and len(calls) == networks + baselines + stages + rows + follow_up
    assert all("--time=60" in call for call in calls) and "--follow-up" in calls[-1] and "--dry-run" not in calls[-1]
    assert not (experiment_file.parent / "runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sbatch", "--time=60"], "--sbatch belongs to --executor slurm"),
        (["--executor", "slurm", "--tensorboard"], "--tensorboard belongs to --executor local"),
    ],
)
def test_an_option_of_another_executor_is_an_error(
    options: list[str], message: str, experiment_file: Path, command: Command
) -> None:
    code, _, err = command("run", experiment_file, *options)
    assert code == 2 and message in err


@pytest.mark.slow
def test_a_cluster_makes_what_one_machine_makes(
    edited: Callable[[str, str], Path], command: Command, cluster: Cluster, tmp_path: Path
) -> None:
    """Real scripts and jobs in fresh processes; a failed row stops no other, and the follow-up writes the report."""
    file = edited(
        "    direct_rgb: {model.head: {name: rgb}}\n",
        "    direct_rgb: {model.head: {name: rgb}}\n    hot: {protocol.coarse.lr: 1e30}\n",
    )
    options = ("--devices", "cpu", "--rows", "base", "--rows", "heads.hot")
    code, out, _ = command("run", file, *options, "--executor", "slurm")
    assert code == 0 and "10 jobs to do; 11 submitted" in out
    codes = cluster.run()
    failed = {name.removeprefix("small."): code for name, code in codes.items() if code}
    assert failed == {
        "heads.hot.seed0.coarse": 1,  # it diverges
        "heads.hot.seed0.psnr": 2,  # what it needs is not stored
        "heads.hot.seed0": 2,
        "follow-up": 1,  # a row failed
    }
    output = tmp_path / "runs/small"
    assert (output / "report/index.html").is_file()
    assert read_json(output / "heads.hot/seed0/record.json")["status"] == "failed"
    code, *_ = command("run", file, *options, "--output", "other/small")
    assert code == 1
    weights = "base/seed0/weights.safetensors"
    assert (output / weights).read_bytes() == (tmp_path / "other/small" / weights).read_bytes()
