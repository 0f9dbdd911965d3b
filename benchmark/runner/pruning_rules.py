"""The rules that may end a trial, as data: they go with a stage to the process that trains it, perhaps on another host.

`search/pruners.py` makes them.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmark.errors import RecordError, shown
from reports.file_access import read_text
from reports.metrics import Metric


@dataclass(frozen=True)
class Validation:
    """What a row reached on val, in the metric of a search."""

    step: int
    """Steps of the row so far, those of earlier stages included."""
    value: float
    """Mean over the images."""
    images: Mapping[str, float] = field(default_factory=dict[str, float])
    """By image; empty where the mean alone is stored."""


@dataclass(frozen=True)
class History:
    """What a trial reached on val so far. `values`: by the steps of its row."""

    number: int
    values: Mapping[int, float]
    final: float | None = None
    """After the last step; None where it was not trained to its end."""
    images: Mapping[int, Mapping[str, float]] = field(default_factory=dict[int, Mapping[str, float]])
    """By step, then by image; only for pruners that compare images."""


@dataclass(frozen=True)
class Cut:
    """The worst value that a trial may have to go on, and the words for a trial that is worse."""

    value: float
    reason: str


@dataclass(frozen=True)
class CutRule:
    """Ends a trial that is worse than the cut at a step. No cuts: it never does."""

    facts: Metric
    cuts: Mapping[int, Cut] = field(default_factory=dict[int, Cut])

    @property
    def metric(self) -> str:
        """Name of the metric that validations are in."""
        return self.facts.name

    def reason_to_stop(self, validation: Validation) -> str | None:
        """Return why the trial should end; None: it goes on. What is no number is worse than any."""
        cut, key = self.cuts.get(validation.step), self.facts.sort_key
        if cut is None or key(validation.value) <= key(cut.value):
            return None
        return f"{self.metric} {validation.value:.4f} {cut.reason}"


@dataclass(frozen=True)
class WilcoxonRule:
    """Ends a trial whose val images are worse than those of the best trial at the same step, by a signed-rank test."""

    facts: Metric
    best: History
    p: float

    @property
    def metric(self) -> str:
        """Name of the metric that validations are in."""
        return self.facts.name

    def reason_to_stop(self, validation: Validation) -> str | None:
        """Return why the trial should end; None: it goes on, also where the best has no images at this step."""
        from scipy import stats  # takes long to import, and few searches need it

        reference, key = self.best.images.get(validation.step, {}), self.facts.sort_key
        images = sorted(reference.keys() & validation.images.keys())
        losses = [key(validation.images[image]) - key(reference[image]) for image in images]
        if not any(losses):
            return None
        test: Any = stats.wilcoxon(losses, alternative="greater")
        p = float(test.pvalue)
        if not p < self.p:
            return None
        return (
            f"{self.metric} {validation.value:.4f} is worse than that of trial.{self.best.number} at this step on "
            f"{len(images)} val images (Wilcoxon, p {p:.3f} below {self.p:g}; the noise of seeds is not in p)"
        )


Rule = CutRule | WilcoxonRule
_RULES: Mapping[str, TypeAdapter[Any]] = {"cuts": TypeAdapter(CutRule), "wilcoxon": TypeAdapter(WilcoxonRule)}


def rule_text(rule: Rule) -> str:
    """Return a rule as JSON, with the numbers that JSON lacks as Python writes them: a value on val may be NaN."""
    return json.dumps({"kind": "cuts" if isinstance(rule, CutRule) else "wilcoxon", **asdict(rule)})


def read_rule(file: Path) -> Rule:
    """Return the rule that `rule_text` wrote into a file.

    Raises:
        RecordError: The file has none.
    """
    with suppress(ValueError):  # no JSON, or fields of another form
        match json.loads(read_text(file)):
            case {"kind": str() as kind, **fields} if kind in _RULES:
                return _RULES[kind].validate_python(fields)
            case _:
                pass
    raise RecordError(f"{shown(str(file))}: has no rule of a trial; the search that wrote it writes it anew")
