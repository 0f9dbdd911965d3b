"""The head that lays a proposal over the degraded image where a mask says so."""

import pytest
import torch

from heads.mask_blend import MaskBlend


def trained_looking(std=0.3):
    """Return a head whose weights are away from zero."""
    head = MaskBlend(4)
    torch.nn.init.normal_(head.conv.weight, std=std, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(head.conv.bias, std=std, generator=torch.Generator().manual_seed(1))
    return head


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_untrained_head_is_the_identity(dtype):
    """Before training the restored image is the degraded one, to the bit, whatever the features and the dtype."""
    head = MaskBlend(4).to(dtype)
    features, degraded = 100 * torch.randn(2, 4, 9, 7, dtype=dtype), torch.rand(2, 3, 9, 7, dtype=dtype)
    image, maps, _ = head(features, degraded)
    assert torch.equal(image, degraded)
    assert (maps["mask"] == 0.5).all()


def test_image_follows_the_formula():
    """J = M*R + (1 - M)*I with the maps that are handed out, one mask for all colours, strictly between 0 and 1."""
    degraded = torch.rand(2, 3, 9, 7)
    image, maps, _ = trained_looking()(torch.randn(2, 4, 9, 7), degraded)
    mask, proposal = maps["mask"], maps["proposal"]
    assert mask.shape == (2, 1, 9, 7)
    assert 0 < mask.min() < mask.max() < 1
    torch.testing.assert_close(image, mask * proposal + (1 - mask) * degraded)


def test_mask_is_the_sigmoid_of_its_logits():
    """Logits go on where the mask has run into 0 or 1."""
    _, maps, _ = trained_looking(std=30)(torch.randn(2, 4, 9, 7), torch.rand(2, 3, 9, 7))
    torch.testing.assert_close(maps["mask"], 1 / (1 + torch.exp(-maps["mask_logits"])))
    assert maps["mask"].max() == 1
    assert maps["mask_logits"].max() > 50


@pytest.mark.parametrize(("logit", "map_shown"), [(40.0, "proposal"), (-100.0, None)])
def test_the_mask_chooses(logit, map_shown):
    """A mask of 1 shows the proposal, a mask of 0 the degraded image."""
    head, degraded = trained_looking(), torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        head.conv.weight[3:].zero_()
        head.conv.bias[3] = logit
    image, maps, _ = head(torch.randn(1, 4, 6, 6), degraded)
    torch.testing.assert_close(image, maps[map_shown] if map_shown else degraded)
    assert not torch.allclose(maps["proposal"], degraded)


def test_untrained_head_learns():
    """The correction has a gradient in the first step and the mask in the second, so neither is stuck."""
    head = MaskBlend(4)
    features, degraded = torch.rand(1, 4, 8, 8), torch.rand(1, 3, 8, 8)
    norms = []
    for _ in range(2):
        loss = head(features, degraded).image.square().mean()
        (gradient,) = torch.autograd.grad(loss, head.conv.weight)
        norms.append(gradient.flatten(1).norm(dim=1))
        with torch.no_grad():
            head.conv.weight -= 0.1 * gradient
    assert (norms[0][:3] > 0).all()
    assert norms[0][3] == 0 < norms[1][3]
