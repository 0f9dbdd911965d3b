"""Losses that supervise predicted maps: values, gradients, and what they say when there is nothing to supervise."""

import numpy as np
import pytest
import torch

from heads import Restoration
from heads.degradation import Degradation
from heads.mask_blend import MaskBlend
from losses import Batch
from losses.map_l1 import MapL1
from losses.mask_bce_dice import MaskBceDice


def random_case(gain_channels=3):
    """Predicted maps `2 C 12 10`, and a batch that knows the true ones; about 1 pixel in 10 is severe."""
    generator = torch.Generator().manual_seed(0)
    image, degraded, target, gain, spots, true_gain, true_spots, noise = (
        torch.rand(2, 3, 12, 10, generator=generator) - 0.5 for _ in range(8)
    )
    logits = 6 * noise[:, :1]
    maps = {"gain": gain[:, :gain_channels], "spots": spots, "mask": logits.sigmoid(), "mask_logits": logits}
    mask = (noise[:, 1:2] > 0.4).float()
    return Restoration(image, maps), Batch(degraded, target, mask, true_gain, true_spots)


@pytest.mark.parametrize(("gain", "spots"), [(1.0, 1.0), (0.0, 2.0), (3.0, 0.0)])
def test_map_l1(gain, spots):
    """The loss is the weighted sum of the mean absolute errors of K and of D."""
    restoration, batch = random_case()
    errors = {
        name: np.abs(restoration.maps[name].numpy().astype(float) - getattr(batch, name).numpy()).mean()
        for name in ("gain", "spots")
    }
    expected = gain * errors["gain"] + spots * errors["spots"]
    assert float(MapL1(gain, spots)(restoration, batch)) == pytest.approx(expected, rel=1e-5)


def test_map_l1_of_a_common_gain():
    """A gain of one channel is compared with the mean of the true one over RGB."""
    restoration, batch = random_case(gain_channels=1)
    expected = np.abs(restoration.maps["gain"][:, 0].numpy() - batch.gain.numpy().mean(axis=1)).mean()
    assert float(MapL1(spots=0.0)(restoration, batch)) == pytest.approx(expected, rel=1e-5)


def test_map_l1_refuse_negative_weights():
    """A negative weight would reward errors."""
    with pytest.raises(ValueError, match="must not be negative"):
        MapL1(gain=-1.0)


def test_mask_bce_dice():
    """The loss is the mean cross-entropy plus 1 - Dice, Dice image by image and smoothed by 1."""
    restoration, batch = random_case()
    mask, truth = (m.numpy().astype(float)[:, 0] for m in (restoration.maps["mask"], batch.mask))
    entropy = -(truth * np.log(mask) + (1 - truth) * np.log(1 - mask)).mean()
    common, sizes = (mask * truth).sum(axis=(1, 2)), mask.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
    expected = entropy + (1 - (2 * common + 1) / (sizes + 1)).mean()
    assert float(MaskBceDice()(restoration, batch)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("severe", [0.0, 1.0])
def test_mask_bce_dice_of_a_right_mask_is_zero(severe):
    """A sure and right mask costs nothing, also where an image has no spots or nothing else."""
    restoration, batch = random_case()
    batch = batch._replace(mask=torch.full_like(batch.mask, severe))
    restoration.maps["mask_logits"] = (200 * batch.mask - 100).requires_grad_()
    loss = MaskBceDice()(restoration, batch)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, restoration.maps["mask_logits"])
    assert gradient.isfinite().all()


def test_mask_bce_dice_corrects_a_mask_that_is_sure_and_wrong():
    """Where the mask has run into 0 or 1 its logits still have a gradient, of the size of a pixel's share."""
    restoration, batch = random_case()
    logits = (100 - 200 * batch.mask).requires_grad_()
    restoration.maps["mask_logits"] = logits
    loss = MaskBceDice()(restoration, batch)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, (1 - 2 * batch.mask) / batch.mask.numel())


SUPERVISED = {"gain": MapL1(), "spots": MapL1(), "mask_logits": MaskBceDice()}
every_map = pytest.mark.parametrize("name", SUPERVISED)


@every_map
def test_gradient_is_the_slope(name):
    """Along its own gradient the loss rises as steeply as the gradient is long, and it does not ask for the image."""
    restoration, batch = random_case()
    start = restoration.maps[name].clone().requires_grad_()
    restoration.maps[name] = start
    (gradient,) = torch.autograd.grad(SUPERVISED[name](restoration, batch), start)
    length = float(gradient.norm())
    values = []
    for sign in (1, -1):
        restoration.maps[name] = start.detach() + sign * 0.02 * gradient / length
        values.append(float(SUPERVISED[name](restoration, batch)))
    assert (values[0] - values[1]) / 0.04 == pytest.approx(length, rel=0.03)


@every_map
def test_right_maps_are_the_minimum_and_finite(name):
    """At the true maps value and gradient are finite, and the value is less than nearby."""
    restoration, batch = random_case()
    nearby = float(SUPERVISED[name](restoration, batch))
    truth = {"gain": batch.gain, "spots": batch.spots, "mask_logits": 100 * (batch.mask - 0.5)}[name]
    restoration.maps[name] = truth.clone().requires_grad_()
    loss = SUPERVISED[name](restoration, batch)
    (gradient,) = torch.autograd.grad(loss, restoration.maps[name])
    assert float(loss.detach()) < nearby
    assert gradient.isfinite().all()


@every_map
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_maps_give_the_float32_value(name, dtype):
    """Half-precision maps, and autocast, give exactly what the same numbers give as float32."""
    (image, maps, _), batch = random_case()
    half = {key: value.to(dtype) for key, value in maps.items()}
    expected = SUPERVISED[name](Restoration(image, {key: value.float() for key, value in half.items()}), batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = SUPERVISED[name](Restoration(image, half), batch)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


@pytest.mark.parametrize(("loss", "head"), [(MapL1(), Degradation(4)), (MaskBceDice(), MaskBlend(4))])
def test_the_head_that_gives_the_maps_is_supervised(loss, head):
    """The loss reaches the weights of the head that its error message recommends."""
    _, batch = random_case()
    loss(head(torch.rand(2, 4, 12, 10), batch.degraded), batch).backward()
    assert head.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("loss", "missing", "remedy"), [(MapL1(), "gain", "degradation"), (MaskBceDice(), "mask_logits", "mask_blend")]
)
def test_a_head_without_the_map_is_an_error(loss, missing, remedy):
    """The error names the map, the maps that there are, and the head to take."""
    restoration, batch = random_case()
    only = Restoration(restoration.image, {"proposal": restoration.image})
    with pytest.raises(ValueError, match=f"no map '{missing}' .*proposal.*{remedy}"):
        loss(only, batch)
    with pytest.raises(ValueError, match=f"no map '{missing}' .*no maps.*{remedy}"):
        loss(Restoration(restoration.image, {}), batch)


@pytest.mark.parametrize("unknown", ["gain", "spots"])
def test_data_without_true_maps_is_an_error(unknown):
    """The error names the map that the data does not know, and data that does."""
    restoration, batch = random_case()
    with pytest.raises(ValueError, match=f"the true {unknown} is not known.*synthetic_faces"):
        MapL1()(restoration, batch._replace(**{unknown: None}))
