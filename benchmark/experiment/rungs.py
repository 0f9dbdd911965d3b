"""An experiment on one of its scales: an ordinary experiment whose rows train with a share of their steps."""

from dataclasses import replace
from pathlib import Path

from benchmark.experiment.load import Experiment
from benchmark.experiment.resolve import Recipe
from benchmark.experiment.scales import Scale, scaled_stage


def on_scale(experiment: Experiment, scale: Scale) -> Experiment:
    """Return an experiment on a scale; on that of all steps its rows, and so their keys, are those without scales.

    Its document names this scale alone, so that the experiment.yaml of a rung runs the rung again.
    """
    if scale.is_full:
        return experiment
    adaptive = experiment.adaptive_seeds  # interim analyses are those of the full scale
    written = scale.model_dump(mode="json", exclude_defaults=True)
    data = {key: value for key, value in experiment.document.data.items() if key != "promote"}
    tuning = experiment.tuning
    return replace(
        experiment,
        name=f"{experiment.name}{_suffix(scale)}",
        seeds=experiment.seeds[: adaptive.first] if adaptive else experiment.seeds,
        adaptive_seeds=None,
        rows=tuple(replace(row, recipe=_scaled(row.recipe, scale)) for row in experiment.rows),
        tuning=tuning
        and replace(
            tuning,
            candidates={
                row: {name: _scaled(recipe, scale) for name, recipe in recipes.items()}
                for row, recipes in tuning.candidates.items()
            },
        ),
        document=replace(experiment.document, data={**data, "scales": [written]}),
    )


def folder_on_scale(output: Path, scale: Scale) -> Path:
    """Return the folder of a rung: that of the run for all steps, else one beside it, so that they share the store."""
    return output if scale.is_full else output.with_name(f"{output.name}{_suffix(scale)}")


def _scaled(recipe: Recipe, scale: Scale) -> Recipe:
    return replace(recipe, stages={name: scaled_stage(stage, scale) for name, stage in recipe.stages.items()})


def _suffix(scale: Scale) -> str:
    return f".steps_{scale.share.numerator}_{scale.share.denominator}"
