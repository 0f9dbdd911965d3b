"""Optuna's samplers as the section `search` of an experiment names them.

What is asked twice costs nothing, since its stages are in the store, and says nothing: settings that were tried are
replaced by others.
"""

import random
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial, TrialState

from benchmark.errors import BenchmarkError, missing_packages, root_cause
from benchmark.experiment.search_settings import Cmaes, Gp, Grid, Nsgaii, OptunaHub, Qmc, Random, Tpe
from benchmark.experiment.search_space import Search
from benchmark.search.hub_sampler import hub_sampler
from benchmark.search.space import all_params, chosen, distributions, settings_key

PACKAGES = {"cmaes": ["cmaes"], "gp": ["scipy", "torch"], "optunahub": ["optunahub"]}
"""What a sampler needs beside Optuna."""
_EXTRAS = {"optunahub": "optunahub"}
"""The extra that installs it; of the others it is `search`."""


def make_sampler(search: Search, trials: int) -> BaseSampler:
    """Return the sampler of a search.

    Args:
        search: Its sampler, seed and parameters.
        trials: Trials in the study: without another seed, a sampler that goes on would repeat its first samples.

    Raises:
        BenchmarkError: A package that the sampler needs is not installed, or a sampler of OptunaHub cannot be made.
    """
    name = search.sampler.name
    if missing := missing_packages(PACKAGES.get(name, ()), _EXTRAS.get(name, "search")):
        raise BenchmarkError(f"search.sampler: {name}: {missing}; or choose another sampler, e.g. tpe")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = _optuna_sampler(search, search.seed + trials)
    return _UntriedSampler(sampler, search, search.seed + trials)


def _optuna_sampler(search: Search, seed: int) -> BaseSampler:
    match search.sampler:
        case Tpe() as tpe:
            # A third of the trials, and at most Optuna's own 10, are drawn at random before good ones are modelled.
            startup = tpe.startup_trials or min(10, max(4, search.trials // 3))
            return TPESampler(
                seed=seed,
                n_startup_trials=startup,
                multivariate=tpe.multivariate,
                constant_liar=tpe.constant_liar,
                group=tpe.multivariate and search.has_branches,  # else parameters of branches would be modelled alone
            )
        case Gp() as gp:
            return GPSampler(seed=seed, n_startup_trials=gp.startup_trials, warn_independent_sampling=False)
        case Cmaes() as cmaes:
            return CmaEsSampler(popsize=cmaes.population, seed=seed, warn_independent_sampling=False)
        case Nsgaii() as nsgaii:
            population = nsgaii.population or min(50, max(4, search.trials // 5))
            return NSGAIISampler(population_size=population, crossover_prob=nsgaii.crossover, seed=seed)
        case Random():
            return RandomSampler(seed=seed)
        case Grid():
            return _GridSampler(search)
        case Qmc() as qmc:
            # Its points are a sequence, whose place is in the journal: that must not begin anew.
            return QMCSampler(
                qmc_type=qmc.sequence,
                scramble=qmc.scramble,
                seed=search.seed,
                independent_sampler=RandomSampler(seed=seed),
                warn_independent_sampling=False,
            )
        case OptunaHub() as hub:
            return hub_sampler(hub, seed)


class _GridSampler(RandomSampler):
    """All settings of a finite space, each once; the order is drawn with the seed, the same after an interruption."""

    def __init__(self, search: Search) -> None:
        super().__init__(search.seed)
        self._settings = list(all_params(search))
        random.Random(search.seed).shuffle(self._settings)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        tried = _tried(study)
        return next((params for params in self._settings if settings_key(params) not in tried), {})


class _UntriedSampler(BaseSampler):
    """Samples as another sampler does; what was tried in the study, it replaces by random settings that were not."""

    def __init__(self, sampler: BaseSampler, search: Search, seed: int) -> None:
        self._sampler, self._random = sampler, RandomSampler(seed=seed)
        self._search = search

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return distributions(self._search)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        tried, sampler = _tried(study), self._sampler
        while True:  # it ends: `ask` is not called when all settings were tried
            params = self._drawn(sampler, study, trial)
            if settings_key(params) not in tried:
                return params
            sampler = self._random

    def _drawn(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        try:
            drawn = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))

            def choose(path: str, distribution: BaseDistribution) -> Any:
                return drawn[path] if path in drawn else sampler.sample_independent(study, trial, path, distribution)

            return chosen(self._search, choose)
        except Exception as error:
            if not isinstance(self._search.sampler, OptunaHub):
                raise
            raise BenchmarkError(
                f"search.sampler: {self._search.sampler.package}: failed: {root_cause(error)}; choose another sampler, "
                "e.g. tpe: finished trials are kept"
            ) from error

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._sampler.after_trial(study, trial, state, values)


def _tried(study: optuna.Study) -> set[tuple[str, ...]]:
    """Return the settings of all trials, also of those that wait or run."""
    return {
        settings_key({**trial.system_attrs.get("fixed_params", {}), **trial.params})
        for trial in study.get_trials(deepcopy=False)
    }
