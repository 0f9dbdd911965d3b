"""What every loss of images must hold numerically: float32, finite, a gradient that is the slope."""

import pytest
import torch

from benchmark.data import SPOT_THRESHOLD_LEVELS
from heads import Restoration
from losses import Batch
from losses.charbonnier import Charbonnier
from losses.color import Color
from losses.edge import Edge
from losses.frequency import Frequency
from losses.hard_pixels import HardPixels
from losses.hard_samples import HardSamples
from losses.l1 import L1
from losses.mask_loss import MaskLoss
from losses.masked_l1 import MaskedL1
from losses.ms_ssim import MsSsim
from losses.psnr import Psnr
from losses.ssim import Ssim

LOSSES = {
    "l1": L1(),
    "charbonnier": Charbonnier(),
    "psnr": Psnr(),
    "psnr over batch": Psnr("batch"),
    "blurred_l2": Color("blurred_l2"),
    "cosine": Color("cosine"),
    "ssim": Ssim(),
    "ms_ssim": MsSsim(window_size=3),
    "mask_loss": MaskLoss(),
    "masked_l1": MaskedL1(),
    "hard_pixels": HardPixels(),
    "hard_samples": HardSamples(),
    "frequency": Frequency(),
    "amplitude": Frequency("amplitude"),
    "gradient": Edge(),
    "laplacian": Edge("laplacian"),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def random_case(dtype=torch.float32):
    """Return a restored image near its target, and the batch, `2 3 40 36`."""
    generator = torch.Generator().manual_seed(0)
    target, noise, damage = (torch.rand(2, 3, 40, 36, generator=generator) for _ in range(3))
    restored, degraded = target + 0.2 * (noise - 0.5), target + 0.6 * (damage - 0.5)
    mask = ((target - degraded).abs().amax(1, keepdim=True) > 2 * SPOT_THRESHOLD_LEVELS / 255).float()
    batch = Batch(degraded.to(dtype), target.to(dtype), mask)
    return restored.to(dtype), batch


@every_loss
def test_value_is_a_float32_scalar(loss):
    """A loss is one finite float32 number."""
    restored, batch = random_case()
    value = loss(Restoration(restored, {}), batch)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_input_gives_the_float32_value(loss, dtype):
    """Half-precision images give exactly what the same numbers give as float32."""
    restored, batch = random_case(dtype)
    wide = batch._replace(degraded=batch.degraded.float(), target=batch.target.float())
    half = loss(Restoration(restored, {}), batch)
    assert torch.equal(half, loss(Restoration(restored.float(), {}), wide))


@every_loss
def test_autocast_changes_nothing(loss):
    """Inside bfloat16 autocast value and gradient are those without it."""
    outcomes = []
    for enabled in (False, True):
        restored, batch = random_case()
        restored.requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            value = loss(Restoration(restored, {}), batch)
        outcomes.append((value, *torch.autograd.grad(value, restored)))
    assert torch.equal(outcomes[0][0], outcomes[1][0])
    assert torch.equal(outcomes[0][1], outcomes[1][1])


@every_loss
def test_equal_images_are_finite(loss):
    """Where restored and target are equal, value and gradient are finite, also for black and for white images."""
    _, batch = random_case()
    for target in (batch.target, torch.zeros_like(batch.target), torch.ones_like(batch.target)):
        restored = target.clone().requires_grad_()
        value = loss(Restoration(restored, {}), batch._replace(target=target))
        (gradient,) = torch.autograd.grad(value, restored)
        assert value.isfinite()
        assert gradient.isfinite().all()


@every_loss
def test_equal_images_are_the_minimum(loss):
    """The target itself costs less than an image near it."""
    restored, batch = random_case()
    assert loss(Restoration(batch.target, {}), batch) < loss(Restoration(restored, {}), batch)


@every_loss
def test_gradient_is_the_slope(loss):
    """Along its own gradient the loss rises as steeply as the gradient is long."""
    restored, batch = random_case()
    restored.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(Restoration(restored, {}), batch), restored)
    length = float(gradient.norm())
    step = 0.02 * gradient / length
    with torch.no_grad():
        above, below = (float(loss(Restoration(restored + sign * step, {}), batch)) for sign in (1, -1))
    assert (above - below) / 0.04 == pytest.approx(length, rel=0.03)


def test_untrained_identity_gets_no_gradient_from_the_mask_loss():
    """At restored = degraded the mask loss is stuck, which is why it needs another loss beside it."""
    _, batch = random_case()
    restored = batch.degraded.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(MaskLoss()(Restoration(restored, {}), batch), restored)
    assert not gradient.any()


def test_gradient_of_cosine_is_bounded_at_black():
    """A black restored pixel gets at most 255 / 8 per pixel, not the 1e8 of a plain cosine."""
    _, batch = random_case()
    restored = torch.zeros_like(batch.target, requires_grad=True)
    (gradient,) = torch.autograd.grad(Color("cosine")(Restoration(restored, {}), batch), restored)
    pixels = 2 * 40 * 36
    assert 0 < float(gradient.norm(dim=1).max()) * pixels <= 255 / 8
