"""A teacher's image is one more target."""

import pytest
import torch

from benchmark.experiment.stage import Stage
from benchmark.model import build
from benchmark.registry import Registry
from benchmark.training.objective import make_objective, with_teacher
from heads import Restoration
from losses import Batch

MODEL = {"backbone": {"name": "unet", "width": 4, "levels": 1}, "head": {"name": "rgb"}}


def test_the_losses_count_once_more_against_the_image_of_the_teacher() -> None:
    """0.5 * L1 to the teacher beside L1 to the target; losses of maps know no teacher; it is not trained."""
    loss = {"l1": 1.0, "map_l1": 1.0}
    stage = Stage.model_validate({"steps": 1, "batch": 2, "patch": 8, "lr": 1e-3, "loss": loss})
    alone = make_objective("only", stage, Registry())
    teacher = build(MODEL).eval()
    image, degraded, target = (torch.rand(2, 3, 8, 8) for _ in range(3))
    gain, spots, true_gain, true_spots = (torch.rand(2, 3, 8, 8, requires_grad=index < 2) for index in range(4))
    batch = Batch(degraded, target, torch.zeros(2, 1, 8, 8), true_gain, true_spots)
    restoration = Restoration(image, {"gain": gain, "spots": spots})
    total, parts = with_teacher(alone, teacher, 0.5)(restoration, batch)
    expected, same_parts = alone(restoration, batch)
    taught = (image - teacher(degraded).image.clamp(0, 1)).abs().mean()
    assert total.item() == pytest.approx((expected + 0.5 * taught).item(), rel=1e-5)
    assert parts.keys() == same_parts.keys() and all(torch.equal(parts[name], same_parts[name]) for name in parts)
    assert with_teacher(alone, None, 0.0) is alone
    total.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
