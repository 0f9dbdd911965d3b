"""The head that predicts the restoring maps K and D."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.ndimage import zoom

from benchmark.errors import ComponentError
from benchmark.registry import Registry
from benchmark.synthetic_faces.degrade import damage_portrait
from benchmark.synthetic_faces.lesions import PRESETS
from benchmark.synthetic_faces.portrait import draw_portrait
from heads.degradation import Degradation

RESOLUTIONS = ("full", "low")


def trained_looking(gain_channels=3, gain_resolution="full", **options):
    """Return a head whose weights are away from zero."""
    head = Degradation(4, gain_channels=gain_channels, gain_resolution=gain_resolution, **options)
    for seed, parameter in enumerate(head.parameters()):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(seed))
    return head


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gain_channels", [1, 3])
@pytest.mark.parametrize("gain_resolution", RESOLUTIONS)
def test_untrained_head_is_the_identity(gain_resolution, gain_channels, dtype):
    """Before training the restored image is the degraded one, to the bit, whatever the features and the dtype."""
    head = Degradation(4, gain_channels=gain_channels, gain_resolution=gain_resolution).to(dtype)
    features, degraded = 100 * torch.randn(2, 4, 9, 7, dtype=dtype), torch.rand(2, 3, 9, 7, dtype=dtype)
    assert torch.equal(head(features, degraded).image, degraded)


@pytest.mark.parametrize("gain_channels", [1, 3])
@pytest.mark.parametrize("gain_resolution", RESOLUTIONS)
def test_image_follows_the_formula(gain_resolution, gain_channels):
    """J = K*I + D + I, channel by channel, with the maps that are handed out."""
    degraded = torch.rand(2, 3, 9, 7)
    image, maps, _ = trained_looking(gain_channels, gain_resolution)(torch.randn(2, 4, 9, 7), degraded)
    assert maps["gain"].shape == (2, gain_channels, 9, 7)
    assert maps["spots"].shape == (2, 3, 9, 7)
    for channel in range(3):
        gain = maps["gain"][:, channel % gain_channels]
        expected = gain * degraded[:, channel] + maps["spots"][:, channel] + degraded[:, channel]
        torch.testing.assert_close(image[:, channel], expected)


def test_maps_come_from_features_alone():
    """K and D do not look at the degraded image, which enters by the formula only."""
    head, features = trained_looking(3), torch.randn(1, 4, 8, 8)
    first, second = (head(features, torch.rand(1, 3, 8, 8)).maps for _ in range(2))
    assert torch.equal(first["gain"], second["gain"])
    assert torch.equal(first["spots"], second["spots"])


def test_restoring_maps_undo_degrading_maps():
    """K = -K'/(1 + K') and D = -D'/(1 + K') invert the degradation by K' and D', as the module says."""
    clean = torch.rand(1, 3, 6, 6)
    gain, spots = torch.full((1, 3, 1, 1), 0.25), torch.full((1, 3, 1, 1), -0.1)
    head = Degradation(4)
    with torch.no_grad():
        head.conv.bias[:3] = (-gain / (1 + gain)).flatten()
        head.conv.bias[3:] = (-spots / (1 + gain)).flatten()
    damaged = gain * clean + spots + clean
    torch.testing.assert_close(head(torch.rand(1, 4, 6, 6), damaged).image, clean)


@pytest.mark.parametrize("gain_resolution", RESOLUTIONS)
def test_untrained_head_learns(gain_resolution):
    """At the identity every weight gets a gradient: K's is D's times the degraded image, so neither is stuck."""
    head = Degradation(4, gain_resolution=gain_resolution)
    restoration = head(torch.rand(1, 4, 8, 8), torch.rand(1, 3, 8, 8))
    restoration.image.square().sum().backward()
    for parameter in head.parameters():
        assert (parameter.grad.flatten(1 if parameter.ndim > 1 else 0).norm(dim=-1) > 0).all()


def test_low_gain_is_the_enlarged_map_of_averages():
    """At low resolution K is the 1 x 1 convolution of square averages, enlarged bilinearly between their centres."""
    head, features = trained_looking(gain_resolution="low", pool=4), torch.randn(1, 4, 12, 20)
    gain = head(features, torch.rand(1, 3, 12, 20)).maps["gain"][0].detach().numpy()
    averages = features[0].reshape(4, 3, 4, 5, 4).mean(dim=(2, 4))
    low = torch.einsum("oi,ihw->ohw", head.low_gain.weight[:, :, 0, 0], averages) + head.low_gain.bias.view(3, 1, 1)
    expected = zoom(low.detach().numpy(), (1, 4, 4), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(gain, expected, atol=1e-5)


@pytest.mark.parametrize("sides", [(1, 1), (5, 3), (16, 17), (33, 40)])
def test_low_gain_of_any_size(sides):
    """Sides need not be multiples of the pool: flat features give a flat gain up to the border."""
    head = trained_looking(gain_resolution="low", kernel_size=1)
    gain = head(torch.ones(2, 4, *sides), torch.rand(2, 3, *sides)).maps["gain"]
    assert gain.shape == (2, 3, *sides)
    torch.testing.assert_close(gain, gain[..., :1, :1].expand_as(gain))


def test_low_gain_cannot_describe_a_spot():
    """A spot in the features is in K spread over its surroundings, while at full resolution it is as sharp as D."""
    features = torch.zeros(1, 4, 48, 48)
    features[..., 24, 24] = 1
    steepest = {}
    for resolution in RESOLUTIONS:
        head = trained_looking(gain_resolution=resolution, kernel_size=1)
        gain = head(features, torch.rand(1, 3, 48, 48)).maps["gain"].detach()
        steepest[resolution] = float(gain.diff(dim=-1).abs().max())
    assert 0 < steepest["low"] < 1e-3 * steepest["full"]


def test_weights_of_dehazeformer():
    """Its weights, converted as the head says, give J = K*I - B + I as computed in [-1, 1]."""
    published = torch.nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
    head = Degradation(4, gain_channels=1)
    with torch.no_grad():
        for ours, theirs in zip(head.parameters(), published.parameters(), strict=True):
            ours[:1] = theirs[:1]
            ours[1:] = -(theirs[:1] + theirs[1:]) / 2
    features, degraded = torch.randn(2, 4, 9, 7), torch.rand(2, 3, 9, 7)
    gain, haze = published(features).split([1, 3], dim=1)
    symmetric = 2 * degraded - 1
    expected = (gain * symmetric - haze + symmetric + 1) / 2
    torch.testing.assert_close(head(features, degraded).image, expected)


@pytest.mark.parametrize("preset", PRESETS)
def test_true_maps_of_a_synthetic_face_restore_it(preset):
    """The true K and D, put through the head as features, give the target within rounding to 8 bits."""
    rng = np.random.default_rng(3)
    portrait = draw_portrait(rng, 96)
    damage = damage_portrait(portrait, PRESETS[preset], rng)
    truth = np.concatenate([damage.gain, damage.spots], axis=-1).astype(np.float32)
    features, degraded = (torch.from_numpy(np.moveaxis(a, -1, 0)[None].copy()) for a in (truth, damage.degraded))
    head = Degradation(6, kernel_size=1)
    torch.nn.init.dirac_(head.conv.weight)
    image = head(features, degraded.float()).image[0].detach().numpy()
    error = np.abs(np.moveaxis(image, 0, -1) - portrait.image)
    assert error.max() < 0.5 / 255
    assert np.abs(damage.degraded - portrait.image).max() > 20 / 255


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain_channels": 2}, "1 or 3"),
        ({"gain_resolution": "half"}, "'full' or 'low'"),
        ({"gain_resolution": "low", "pool": 0}, "pool must be at least 1"),
    ],
)
def test_bad_options_are_refused(options, message):
    """Each bad option is an error that says what is allowed."""
    with pytest.raises((ValidationError, ComponentError), match=message):
        Registry().create("head", "degradation", options, in_channels=4)
