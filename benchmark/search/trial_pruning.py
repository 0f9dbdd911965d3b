"""Validations of trials go to the study, and from those of all trials comes the rule for each."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmark.experiment.plan import PlannedRow
from benchmark.experiment.pruner_settings import Wilcoxon
from benchmark.experiment.search_space import Search
from benchmark.runner.pruning_rules import CutRule, History, Rule, Validation
from benchmark.runner.stopping_rule import validation_points
from benchmark.search.pruners import rule_for
from benchmark.search.space import base_params

_IMAGES = "images."
"""Begin of the attributes with the scores of images, by step."""


class StudyPruning:
    """The pruning of a search; see `runner.pruning.Pruning`. The base row is never ended early."""

    def __init__(self, study: optuna.Study, search: Search, base_steps: int) -> None:
        """Begin without running trials. `base_steps`: of the base row."""
        self._study, self._search, self._base_steps = study, search, base_steps
        self._trials: dict[str, optuna.Trial] = {}
        self._noted: dict[str, dict[int, Validation]] = {}

    @property
    def metric(self) -> str:
        """Name of the metric that validations are in."""
        return self._search.metric.name

    def start(self, row: PlannedRow, trial: optuna.Trial) -> None:
        """Begin to note what the row of a trial reaches."""
        self._trials[row.folder], self._noted[row.folder] = trial, {}

    def note(self, row: PlannedRow, validation: Validation) -> Validation:
        """Report a validation of a row to the study, once; return it as it was noted first."""
        noted, trial = self._noted[row.folder], self._trials[row.folder]
        if validation.step not in noted:
            noted[validation.step] = validation
            trial.report(validation.value, validation.step)
            if isinstance(self._search.pruner, Wilcoxon) and validation.images:
                trial.set_user_attr(f"{_IMAGES}{validation.step}", dict(validation.images))
        return noted[validation.step]

    def rule(self, row: PlannedRow) -> Rule:
        """Return the rule for a row, by what is known of the other trials now."""
        trial, search = self._trials[row.folder], self._search
        if trial.params == base_params(search):
            return CutRule(search.metric)
        others = [
            _history(other)
            for other in self._study.get_trials(deepcopy=False)
            if other.number != trial.number and other.state not in (TrialState.FAIL, TrialState.WAITING)
        ]
        points = validation_points(row)
        return rule_for(search.pruner, trial.number, points, others, search.metric, self._base_steps)


def _history(trial: FrozenTrial) -> History:
    images: Mapping[int, Any] = {
        int(name.removeprefix(_IMAGES)): value for name, value in trial.user_attrs.items() if name.startswith(_IMAGES)
    }
    final = trial.value if trial.state == TrialState.COMPLETE else None
    return History(trial.number, trial.intermediate_values, final, images)
