"""Every pixel loss against its formula written once more in numpy, in float64."""

import numpy as np
import pytest

from losses.charbonnier import Charbonnier
from losses.hard_pixels import HardPixels
from losses.hard_samples import HardSamples
from losses.l1 import L1
from losses.mask_loss import MaskLoss
from losses.masked_l1 import MaskedL1
from losses.psnr import Psnr


def test_l1(random_case, value):
    """L1 is the mean absolute difference."""
    restored, degraded, target = random_case()
    assert value(L1(), restored, degraded, target) == pytest.approx(np.abs(restored - target).mean(), rel=1e-5)


def test_psnr_is_averaged_over_images(random_case, value):
    """The PSNR loss is minus the mean of the images' PSNR, not the PSNR of the pooled error."""
    restored, degraded, target = random_case()
    restored[1] = target[1] + 0.001
    per_image = [10 * np.log10(((restored[k] - target[k]) ** 2).mean() + 1e-8) for k in range(2)]
    assert value(Psnr(), restored, degraded, target) == pytest.approx(np.mean(per_image), rel=1e-5)


def test_psnr_over_the_batch_pools_the_error(random_case, value):
    """With `over: batch` the images count as one: an image that is almost right does not dominate."""
    restored, degraded, target = random_case()
    restored[1] = target[1] + 0.001
    pooled = 10 * np.log10(((restored - target) ** 2).mean() + 1e-8)
    assert value(Psnr("batch"), restored, degraded, target) == pytest.approx(pooled, rel=1e-5)
    assert value(Psnr("batch"), restored, degraded, target) > value(Psnr(), restored, degraded, target)


def test_psnr_of_equal_images(random_case, value):
    """Equal images give -80 dB, the floor that the epsilon sets."""
    _, degraded, target = random_case()
    assert value(Psnr(), target, degraded, target) == pytest.approx(-80, abs=1e-4)


def test_mask_loss(random_case, value):
    """The mask loss compares absolute changes where the wanted one is at least 30 levels, over all pixels."""
    restored, degraded, target = random_case()
    wanted = np.rint(255 * np.abs(target - degraded))
    done = 255 * np.abs(restored - degraded)
    expected = np.abs(wanted - done)[wanted >= 30].sum() / wanted.size / 255
    assert value(MaskLoss(), restored, degraded, target) == pytest.approx(expected, rel=1e-4)


def test_mask_loss_counts_from_exactly_30_levels(value):
    """A difference of 30 levels counts and one of 29 does not, whatever the level it starts from, up or down."""
    levels = np.arange(226).reshape(1, 1, 1, 226).repeat(3, axis=1)
    for low, high in ((levels / 255, (levels + 30) / 255), ((levels + 30) / 255, levels / 255)):
        # The restored image is the degraded one: every value that counts costs its 30 levels.
        assert value(MaskLoss(), low, low, high) == pytest.approx(30 / 255, rel=1e-5)
    assert value(MaskLoss(), levels / 255, levels / 255, (levels + 29) / 255) == 0


@pytest.mark.parametrize(("difference", "counts"), [(29.5, False), (29.6, False), (29.99, False), (30.0, True)])
def test_mask_loss_counts_from_30_levels_between_8_bit_levels_too(value, difference, counts):
    """The threshold is 30, not 29.5, for images with finer levels, such as those of 16 bits."""
    levels = np.arange(0, 225, 0.37).reshape(1, 1, 1, -1)
    found = value(MaskLoss(), levels / 255, levels / 255, (levels + difference) / 255)
    assert found == (pytest.approx(difference / 255, rel=1e-5) if counts else 0)


def test_mask_loss_is_blind_to_the_sign(value):
    """A change by the right amount in the wrong direction costs nothing; no change costs the whole amount."""
    degraded = np.full((1, 3, 4, 4), 0.5)
    assert value(MaskLoss(), degraded - 0.2, degraded, degraded + 0.2) == pytest.approx(0, abs=1e-6)
    assert value(MaskLoss(), degraded, degraded, degraded + 0.2) == pytest.approx(0.2, rel=1e-5)


def test_masked_l1(random_case, value):
    """Masked L1 is the mean difference over the pixels where any channel of the pair differs by more than 30 levels."""
    restored, degraded, target = random_case()
    mask = (np.rint(255 * np.abs(target - degraded)) > 30).any(axis=1)
    assert 0.1 < mask.mean() < 0.9
    expected = np.abs(restored - target).mean(axis=1)[mask].mean()
    assert value(MaskedL1(), restored, degraded, target) == pytest.approx(expected, rel=1e-5)


def test_masked_l1_without_a_mask(random_case, value):
    """A pair without severe damage costs nothing, whatever the restored image."""
    restored, _, target = random_case()
    assert value(MaskedL1(), restored, target, target) == 0


def test_masked_l1_knows_the_sign(value):
    """A change by the right amount in the wrong direction costs twice that of no change."""
    degraded = np.full((1, 3, 4, 4), 0.5)
    unchanged, wrong = (value(MaskedL1(), image, degraded, degraded + 0.2) for image in (degraded, degraded - 0.2))
    assert (unchanged, wrong) == (pytest.approx(0.2, rel=1e-5), pytest.approx(0.4, rel=1e-5))


@pytest.mark.parametrize("epsilon", [1e-3, 0.1])
def test_charbonnier(epsilon, random_case, value):
    """Charbonnier is the mean root of the squared difference plus epsilon squared."""
    restored, degraded, target = random_case()
    expected = np.sqrt((restored - target) ** 2 + epsilon**2).mean()
    assert value(Charbonnier(epsilon), restored, degraded, target) == pytest.approx(expected, rel=1e-5)


def test_charbonnier_of_equal_images(random_case, value):
    """Equal images cost epsilon."""
    _, degraded, target = random_case()
    assert value(Charbonnier(), target, degraded, target) == pytest.approx(1e-3, rel=1e-5)


def test_charbonnier_refuses_epsilon_zero():
    """Without a rounded tip there is no gradient at equal images."""
    with pytest.raises(ValueError, match="epsilon must be positive"):
        Charbonnier(0.0)


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_hard_pixels(share, random_case, value):
    """Hard pixels are each image's own: the mean of the largest errors, as many in each image."""
    restored, degraded, target = random_case()
    restored[1] = target[1] + 0.1 * (restored[1] - target[1])
    errors = np.sort(np.abs(restored - target).mean(axis=1).reshape(2, -1), axis=1)
    expected = errors[:, -round(share * 24 * 20) :].mean()
    assert value(HardPixels(share), restored, degraded, target) == pytest.approx(expected, rel=1e-5)


def test_one_hard_pixel_is_the_least(value):
    """However small the share, the worst pixel of each image counts."""
    restored, target = np.zeros((2, 3, 4, 4)), np.zeros((2, 3, 4, 4))
    restored[0, :, 1, 2], restored[1, 0, 3, 3] = 0.6, 0.3
    assert value(HardPixels(1e-6), restored, target, target) == pytest.approx((0.6 + 0.1) / 2, rel=1e-5)


def stretched(restored, target):
    """Five images with errors in the ratio 1 : 2 : 3 : 4 : 5, in another order."""
    factors = np.array([3, 1, 5, 2, 4]).reshape(5, 1, 1, 1) / 5
    target = np.concatenate([target[:1]] * 5)
    return target + factors * (restored[:1] - target[:1]), target


@pytest.mark.parametrize(("share", "worst"), [(0.01, [5]), (0.4, [5, 4]), (1.0, [5, 4, 3, 2, 1])])
def test_hard_samples(share, worst, random_case, value):
    """Hard samples are the images with the largest mean error, at least one."""
    restored, _, target = random_case()
    single = np.abs(restored[0] - target[0]).mean()
    restored, target = stretched(restored, target)
    expected = single * np.mean(worst) / 5
    assert value(HardSamples(share), restored, target, target) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [HardPixels, HardSamples])
def test_mining_all_is_l1(loss, random_case, value):
    """With a share of 1 nothing is left out."""
    images = random_case()
    assert value(loss(share=1.0), *images) == pytest.approx(value(L1(), *images), rel=1e-5)


@pytest.mark.parametrize("loss", [HardPixels, HardSamples])
@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_shares_outside_the_unit_interval_are_refused(loss, share):
    """A share of nothing, or of more than all, is an error that names the option."""
    with pytest.raises(ValueError, match="share must be above 0"):
        loss(share=share)
