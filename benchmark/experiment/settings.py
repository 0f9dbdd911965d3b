"""What all parts of the experiment file are made of: the strict base model, the settings of reports, metric names."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.document import Document, KeyPath
from benchmark.registry import Registry
from reports.metrics import IMAGE_METRICS
from reports.schema import MetricName


class Settings(BaseModel):
    """Strict and frozen: an unknown key is an error, and so is a number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Report(Settings):
    """How rows are ranked and compared."""

    primary: MetricName = Field(default="psnr", description="the metric rows are ranked by")
    equivalence_margin: float = Field(
        default=0.1, ge=0, description="smallest difference of the primary metric that matters"
    )


def plugin_metrics(registry: Registry) -> dict[str, str]:
    """Return the metrics that are not built in, with the digests of their sources."""
    return {name: registry.digest("metric", name) for name in registry.names("metric") if name not in IMAGE_METRICS}


def check_metrics(document: Document, named: Iterable[tuple[KeyPath, str | None]], registry: Registry) -> None:
    """Check that each metric is built in or a plugin's; None stands for a default and is passed over.

    Raises:
        ExperimentError: A metric is unknown; the message names its place in the file and a similar name.
    """
    names = [*IMAGE_METRICS, *registry.names("metric")]
    for path, metric in named:
        if metric is not None and metric not in names:
            message = f"{'.'.join(map(str, path))}: no metric {metric!r}; {suggestion(metric, names)}"
            raise ExperimentError(f"{document.place(path)}: {message}")
