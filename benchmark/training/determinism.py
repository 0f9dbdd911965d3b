"""Whether a training step gives the same bits twice, which the CPU promises and a GPU may not."""

import torch

from benchmark.data.sampling import Sampler
from benchmark.experiment.stage import Stage
from benchmark.training.loop import fit
from benchmark.training.objective import Objective
from benchmark.training.snapshot import put_back, take
from benchmark.training.train_state import Learner


def is_repeatable(learner: Learner, objective: Objective, sampler: Sampler, stage: Stage, device: torch.device) -> bool:
    """Take the first step of a stage twice and compare all that it changes, bit for bit; the learner stays as it was.

    Kernels that add in any order (scattered sums, some convolutions and paddings backward) show in one step already.
    """
    once = stage.model_copy(update={"steps": 1, "compile": False})
    before, ends = take(learner), list[dict[str, torch.Tensor]]()
    for _ in range(2):
        list(fit(learner, objective, sampler, once, device))
        ends.append({name: value.clone() for name, value in learner.restorer.state_dict().items()})
        put_back(before, learner)
    return all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
