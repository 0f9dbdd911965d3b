"""The section `search` of an experiment file: parameters, the sampler and its options."""

import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, PositiveFloat, field_validator, model_validator

from benchmark.experiment.pruner_settings import Pruner
from benchmark.experiment.stage import Seed, Settings, by_name
from reports.metrics import COSTS
from reports.schema import MetricName

MOST_TRIALS = 100_000
Trials = Annotated[int, Field(gt=0, le=MOST_TRIALS)]


class Tpe(Settings):
    """Tree-structured Parzen estimators (Watanabe 2023): learns from scores, failed gates and divergence."""

    name: Literal["tpe"] = "tpe"
    multivariate: bool = Field(default=True, description="model parameters together; false: each by itself")
    constant_liar: bool = Field(
        default=True, description="take running trials for bad ones, so that workers do not try the same"
    )
    startup_trials: Trials | None = Field(
        default=None, description="random trials before it models; null: a third of the trials, 4 to 10"
    )


class Gp(Settings):
    """Gaussian process with expected improvement: few and costly trials, up to some 20 parameters."""

    name: Literal["gp"] = "gp"
    startup_trials: Trials = Field(default=10, description="random trials before it models")


class Cmaes(Settings):
    """CMA-ES (Hansen 2016) over the parameters that are ranges of numbers; choices are drawn at random."""

    name: Literal["cmaes"] = "cmaes"
    population: Annotated[int, Field(ge=3, le=100_000)] | None = Field(
        default=None, description="trials of a generation; null: 4 + 3 ln(parameters)"
    )


class Nsgaii(Settings):
    """The genetic algorithm NSGA-II (Deb et al. 2002)."""

    name: Literal["nsgaii"] = "nsgaii"
    population: Annotated[int, Field(ge=2, le=100_000)] | None = Field(
        default=None, description="trials of a generation; null: a fifth of the trials, 4 to 50"
    )
    crossover: Annotated[float, Field(ge=0, le=1)] = Field(default=0.9, description="share of trials with two parents")


class Random(Settings):
    """Independent draws: the baseline that a sampler has to beat."""

    name: Literal["random"] = "random"


class Grid(Settings):
    """Every combination once, in an order drawn with the seed; parameters are choices, whole numbers or steps."""

    name: Literal["grid"] = "grid"


class Qmc(Settings):
    """Quasi-random points, which fill the space more evenly than random ones."""

    name: Literal["qmc"] = "qmc"
    sequence: Literal["sobol", "halton"] = "sobol"
    scramble: bool = Field(default=True, description="shift the points by the seed; false: the same for every seed")


class OptunaHub(Settings):
    """A sampler of the OptunaHub registry, or of a folder of the same form."""

    name: Literal["optunahub"] = "optunahub"
    package: str = Field(
        description="folder of the sampler below `package` of the registry, e.g. samplers/auto_sampler"
    )
    sampler: str | None = Field(default=None, description="its class; null: the one sampler that the package has")
    options: dict[str, Any] = Field(default={}, description="arguments of the class; seed is that of the search")
    heeds: list[Literal["gates", "objectives"]] = Field(
        default=[], description="what the package takes into account: failed gates as constraints, several objectives"
    )
    ref: str = Field(default="main", description="branch, tag or commit of the registry; a commit is repeatable")
    registry: str | None = Field(
        default=None, description="folder that holds packages, relative to this file; null: OptunaHub is asked"
    )

    @field_validator("package")
    @classmethod
    def _check_package(cls, package: str) -> str:
        if not re.fullmatch(r"\w+(/\w+)*", package, re.ASCII):
            raise ValueError("expected folders of a package, letters, digits and _, such as samplers/auto_sampler")
        return package


_AnySampler = Tpe | Gp | Cmaes | Nsgaii | Random | Grid | Qmc | OptunaHub
SAMPLERS: tuple[str, ...] = tuple(kind.model_fields["name"].default for kind in get_args(_AnySampler))
"""Names of the samplers."""


Sampler = Annotated[Annotated[_AnySampler, Field(discriminator="name")], by_name("sampler", SAMPLERS)]
"""A sampler by name, or its name and options."""


class SearchParameter(Settings):
    """A range of numbers, or some values to choose from."""

    low: float | None = None
    high: float | None = None
    log: bool = Field(default=False, description="search the exponent: for learning rates and weights")
    step: PositiveFloat | None = Field(default=None, description="distance of the values; null: any, whole numbers: 1")
    choices: list[Any] | None = Field(default=None, min_length=2)
    when: dict[str, Any] | None = Field(
        default=None,
        min_length=1,
        description="ask it only where other parameters have certain choices: path -> choice, name of a component, or "
        "a list of these",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high, is_range = self.low, self.high, self.choices is None
        mistakes = [
            ("give low and high, or choices", is_range and (low is None or high is None)),
            ("give low and high, or choices, not both", not is_range and (low, high, self.step) != (None, None, None)),
            ("log is for a range", not is_range and self.log),
            ("low must be below high", low is not None and high is not None and low >= high),
            ("log needs a low above 0", self.log and low is not None and low <= 0),
            ("log and step exclude each other", self.log and self.step is not None),
        ]
        for message, is_made in mistakes:
            if is_made:
                raise ValueError(message)
        return self


class Confirm(Settings):
    """The best trials and the base row again, with fresh seeds: a choice by one seed may be luck."""

    top: Annotated[int, Field(ge=1, le=100)] = Field(default=3, description="how many of the best trials")
    seeds: Annotated[int, Field(ge=3, le=1000)] = Field(
        default=5, description="seeds that no trial had; below 5, an interval needs 3 trials with similar noise"
    )


class SearchSettings(Settings):
    """What `search` varies, and how trials are compared: on val, after the last stage."""

    metric: MetricName | None = Field(default=None, description="what trials are compared by; null: report.primary")
    objectives: list[MetricName] | None = Field(
        default=None,
        min_length=2,
        max_length=4,
        description="in place of metric: several metrics and costs, which no one trial may be best in; costs are "
        f"{', '.join(COSTS)}",
    )
    trials: Trials = Field(default=20, description="trials in all; the first is the base row")
    parameters: dict[str, SearchParameter] = Field(min_length=1, description="dotted path -> range or choices")
    sampler: Sampler = Field(default=Tpe(), description="what chooses the next trial, by name or with options")
    pruner: Pruner | None = Field(
        default=None,
        description="what ends a trial before its last step, by name or with options; null: successive_halving, with "
        "several objectives none",
    )
    seed: Seed | None = Field(default=None, description="the seed trials train with; null: the first of seeds")
    confirm: Confirm | None = Field(
        default=None, description="train the best trials and the base row with fresh seeds, and name a winner or none"
    )
