"""The options that say where jobs run, for `run` and `search`."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # torch is imported only when the command runs
    from benchmark.runner.context import Context
    from benchmark.runner.executor import Executor, OpenExecutor
    from benchmark.runner.job_command import JobPlans

LOCAL, RAY, SLURM = "local", "ray", "slurm"


@dataclass(frozen=True)
class ExecutorChoice:
    """Which executor a user chose, and its options."""

    name: str = LOCAL
    address: str | None = None
    """Of a Ray cluster."""
    sbatch: tuple[str, ...] = ()
    """Options for sbatch."""

    @property
    def opener(self) -> "OpenExecutor | None":
        """What opens the executor of a cluster; None: workers of this machine."""
        return None if self.name == LOCAL else self._open

    def _open(self, context: "Context", plans: "JobPlans", workers: int | None) -> "Executor":
        if self.name == SLURM:
            from benchmark.runner.slurm_executor import SlurmExecutor

            return SlurmExecutor(context, self.sbatch, plans, workers)
        from benchmark.runner.ray_executor import RayExecutor

        return RayExecutor(context, self.address, plans, workers)


def executor_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where jobs run; see `executor_choice`."""
    decorators = [
        click.option(
            "--executor",
            type=click.Choice([LOCAL, RAY, SLURM]),
            default=LOCAL,
            show_default=True,
            help="local: processes of this machine. ray: tasks of a Ray cluster; see docs/scale.md. "
            "slurm: jobs of its queue; see there.",
        ),
        click.option("--address", metavar="HOST:PORT", help="Of a Ray cluster.  [default: one of this machine alone]"),
        click.option("--sbatch", metavar="OPTIONS", help="Options for sbatch, e.g. '--partition=gpu --time=12:00:00'."),
    ]
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def executor_choice(executor: str, address: str | None, sbatch: str | None) -> ExecutorChoice:
    """Return the choice that the options make. Raises click.UsageError where an option belongs to another executor."""
    if executor != RAY and address is not None:
        raise click.UsageError("--address belongs to --executor ray")
    if executor != SLURM and sbatch is not None:
        raise click.UsageError("--sbatch belongs to --executor slurm")
    try:
        return ExecutorChoice(executor, address, tuple(shlex.split(sbatch or "")))
    except ValueError as error:
        raise click.UsageError(f"--sbatch {sbatch!r}: {error}; quote it as a shell would read it") from None
