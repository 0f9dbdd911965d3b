"""The setting `search.pruner`: the rule that ends a trial before its last step."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from benchmark.experiment.stage import Count, Settings, by_name

_Startup = Annotated[int, Field(ge=0, le=100_000)]
_Reduction = Annotated[int, Field(ge=2, le=100)]
_STARTUP = "no trial is ended before so many others have come as far"


class NoPruner(Settings):
    """Every trial is trained to its end."""

    name: Literal["none"] = "none"


class SuccessiveHalving(Settings):
    """Asynchronous successive halving (Li et al. 2020): at each rung, one of so many trials goes on.

    Rungs are `min_steps` times the powers of `reduction`. A trial is judged at its first validation from a rung on;
    rungs without a validation between them count as one.
    """

    name: Literal["successive_halving"] = "successive_halving"
    reduction: _Reduction = Field(default=3, description="one of so many trials goes on")
    min_steps: Count | None = Field(
        default=None, description="steps of the first rung; null: those of the base row divided by reduction twice"
    )
    startup_trials: _Startup = Field(default=4, description=_STARTUP)


class Hyperband(Settings):
    """Hyperband (Li et al. 2018): successive halving in brackets, each of which begins a rung later."""

    name: Literal["hyperband"] = "hyperband"
    reduction: _Reduction = Field(default=3, description="one of so many trials of a bracket goes on")
    min_steps: Count | None = Field(
        default=None, description="steps of the first rung; null: those of the base row divided by reduction twice"
    )
    startup_trials: _Startup = Field(default=4, description=f"{_STARTUP}, in each bracket")


class Median(Settings):
    """The median rule (Golovin et al. 2017): a trial ends where it is worse than the median of those finished."""

    name: Literal["median"] = "median"
    startup_trials: _Startup = Field(default=4, description=_STARTUP)
    warmup_steps: Annotated[int, Field(ge=0)] = Field(default=0, description="no trial is ended before this step")


class Wilcoxon(Settings):
    """Signed-rank test of the val images against the best trial. It ignores the noise of seeds, which is most of it."""

    name: Literal["wilcoxon"] = "wilcoxon"
    p: Annotated[float, Field(gt=0, lt=0.5)] = Field(default=0.05, description="a trial ends where p is below this")
    startup_trials: _Startup = Field(default=4, description=_STARTUP)


_AnyPruner = NoPruner | SuccessiveHalving | Hyperband | Median | Wilcoxon
PRUNERS: tuple[str, ...] = tuple(kind.model_fields["name"].default for kind in get_args(_AnyPruner))
"""Names of the pruners."""


Pruner = Annotated[Annotated[_AnyPruner, Field(discriminator="name")], by_name("pruner", PRUNERS)]
"""A pruner by name, or its name and options."""
