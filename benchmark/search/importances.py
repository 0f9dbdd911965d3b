"""Which parameters the metric varies with: PED-ANOVA (Watanabe et al. 2023), and how sure that is."""

import random
import warnings
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from reports.schema import Importance

FEWEST_TRIALS = 20
"""With fewer finished trials the shares are mostly chance."""
_DRAWS = 100
_OUTER_SHARE = 0.05
"""Of the draws beyond each end of the interval."""


def importances(study: optuna.Study) -> tuple[Importance, ...]:
    """Return the share of each parameter, the largest first, with its 90 % interval over trials drawn anew.

    Empty where fewer than 20 trials were trained to their end, or where there are several objectives.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(trials) < FEWEST_TRIALS or len(study.directions) > 1:
        return ()
    shares = _shares(trials, study.direction)
    generator, draws = random.Random(0), list[dict[str, float]]()
    for _ in range(_DRAWS):
        draws.append(_shares(generator.choices(trials, k=len(trials)), study.direction))
    outside = round(_OUTER_SHARE * _DRAWS)
    intervals = {path: sorted(draw.get(path, 0.0) for draw in draws)[outside : _DRAWS - outside] for path in shares}
    return tuple(
        Importance(path=path, share=share, low=intervals[path][0], high=intervals[path][-1])
        for path, share in shares.items()
    )


def _shares(trials: Sequence[FrozenTrial], direction: optuna.study.StudyDirection) -> dict[str, float]:
    """Return the share of each parameter in a study of these trials; none where they are all alike."""
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optuna.importance.get_param_importances(study)
        except (RuntimeError, ValueError):
            return {}
