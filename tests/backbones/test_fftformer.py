"""FFTformer: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones.fftformer import FFTformer
from benchmark.model import build
from benchmark.model.restorer import fold

SMALL = {"width": 4, "depths": (1, 1), "refinement": 1, "expansion": 2.0}


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("fftformer_d8", {"width": 8, "depths": (1, 1, 1), "refinement": 1, "expansion": 2.0}),
        pytest.param("full/fftformer", FFTformer.sizes["fftformer"], marks=pytest.mark.slow),
    ],
)
def test_fftformer_gives_the_authors_output(load_golden, with_published_weights, case, options):
    """With the authors' weights from a file, the restorer gives the authors' output."""
    golden = load_golden(case)
    restored = with_published_weights("fftformer", options, golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.slow
def test_fftformer_has_the_published_cost(count_macs):
    """Parameters and MACs, output convolution included, are those of the authors' code.

    Of their parameters, a convolution from 192 to 96 channels is never used. Their transforms do not count; ours are
    products with matrices of 80 x 64, for every channel of a feed-forward part in two directions, and for query, key
    and result of an attention in one.
    """
    with torch.device("meta"):
        backbone = FFTformer(**FFTformer.sizes["fftformer"])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1, bias=False))
    blocks = [
        (level, block)
        for part in (backbone.encoder, backbone.decoder, backbone.fusions)
        for level, stage in enumerate(part)
        for block in (stage if isinstance(stage, nn.Sequential) else [stage])
    ]
    transforms = 0
    for level, block in [*blocks, *((0, block) for block in backbone.refinement)]:
        attention = getattr(block, "attention", None)
        channels = 2 * len(block.feed_forward.factors) + (3 * len(attention.norm.weight) if attention else 0)
        transforms += 80 * channels * 256**2 >> 2 * level
    assert sum(p.numel() for p in network.parameters()) + 192 * 96 == 16_560_474
    assert round((count_macs(network, 256) - transforms) / 1e9, 2) == 131.42


@pytest.mark.parametrize("sides", [(8, 8), (16, 24)], ids=str)
def test_the_transform_of_patches_is_that_of_torch(sides):
    """Spectra and their inverse equal the fast transforms, of spectra that belong to no real patch too."""
    transform = FFTformer(**SMALL).encoder[0][0].feed_forward.transform.double()
    features = torch.rand(2, 3, *sides, dtype=torch.float64)
    spectra = transform(features)
    for (row, column), patch in patches_of(features).items():
        expected = torch.view_as_real(torch.fft.rfft2(patch)).permute(0, 4, 2, 3, 1).flatten(2, 3)
        torch.testing.assert_close(spectra[:, row // 8, column // 8], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(transform.inverse(spectra), features, rtol=1e-5, atol=1e-5)
    free = torch.randn_like(spectra)
    for (row, column), patch in patches_of(transform.inverse(free)).items():
        real, imaginary = free[:, row // 8, column // 8].permute(1, 0, 3, 2).unflatten(3, (8, 5))
        expected = torch.fft.irfft2(torch.complex(real, imaginary), s=(8, 8))
        torch.testing.assert_close(patch, expected, rtol=1e-5, atol=1e-5)


def patches_of(features):
    """Return the corners and the patches of 8 x 8 px of features `B C H W`."""
    height, width = features.shape[2:]
    corners = [(row, column) for row in range(0, height, 8) for column in range(0, width, 8)]
    return {(row, column): features[..., row : row + 8, column : column + 8] for row, column in corners}


def test_attention_is_a_circular_convolution_of_patches(randomise):
    """Each 8 x 8 patch of the query is convolved with that of the key; its norm weighs the values."""
    attention = FFTformer(**SMALL).decoder[0][0].attention
    randomise(attention)
    features = torch.rand(2, 4, 16, 24)
    query, key, value = attention.depthwise(attention.expand(features)).split(8, dim=1)
    similarity = torch.empty_like(query)
    keys = patches_of(key)
    for (row, column), patch in patches_of(query).items():
        total = torch.zeros_like(patch)
        for i in range(8):
            for j in range(8):
                total = total + patch[..., i : i + 1, j : j + 1] * keys[row, column].roll((i, j), (2, 3))
        similarity[..., row : row + 8, column : column + 8] = total
    centred = similarity - similarity.mean(1, keepdim=True)
    normed = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    normed = normed * attention.norm.weight.view(-1, 1, 1) + attention.norm.bias.view(-1, 1, 1)
    torch.testing.assert_close(attention(features), attention.project(value * normed), rtol=1e-5, atol=1e-5)


def test_feed_forward_weighs_the_frequencies_of_each_patch(randomise):
    """The expanded features are transformed patch by patch, weighed by channel and frequency, and gated by GELU."""
    feed_forward = FFTformer(**SMALL).encoder[0][0].feed_forward
    randomise(feed_forward)
    features = torch.rand(2, 4, 16, 24)
    expanded = feed_forward.expand(features)
    weighed = torch.empty_like(expanded)
    for (row, column), patch in patches_of(expanded).items():
        spectrum = torch.fft.rfft2(patch) * feed_forward.factors.view(1, 16, 8, 5)
        weighed[..., row : row + 8, column : column + 8] = torch.fft.irfft2(spectrum)
    gate, value = feed_forward.depthwise(weighed).split(8, dim=1)
    expected = feed_forward.project(F.gelu(gate) * value)
    torch.testing.assert_close(feed_forward(features), expected, rtol=1e-5, atol=1e-5)


def test_a_fresh_feed_forward_part_leaves_the_spectra_as_they_are():
    """All factors start at one: the part is the gated one without transforms."""
    feed_forward = FFTformer(**SMALL).encoder[0][0].feed_forward
    features = torch.rand(1, 4, 8, 16)
    torch.testing.assert_close(feed_forward(features), feed_forward.gate(feed_forward.expand(features)))


def test_folded_fftformer_gives_the_same_image_with_half_the_last_projections(randomise, count_macs):
    """The two halves that a fusion adds come from one projection of half the channels."""
    network = build({"backbone": {"name": "fftformer", **SMALL}, "head": {"name": "rgb"}}).eval()
    randomise(network)
    folded = fold(network)
    image = torch.rand(1, 3, 21, 30)
    with torch.no_grad():
        torch.testing.assert_close(folded(image).image, network(image).image, rtol=1e-5, atol=1e-5)
    assert folded.backbone.fusions[0].project.weight.shape == (4, 8, 1, 1)
    assert count_macs(network.backbone, 64) - count_macs(folded.backbone, 64) == 4 * 8 * 64**2
    assert fold(folded).state_dict().keys() == folded.state_dict().keys()


@pytest.mark.parametrize(
    "change",
    [{"width": 8}, {"depths": (1, 2)}, {"depths": (1, 1, 1)}, {"refinement": 0}, {"expansion": 1.5}],
    ids=str,
)
def test_every_fftformer_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(FFTformer(**SMALL), FFTformer(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 7}, "fftformer: width is 7; it must be even"),
        ({"width": 0}, "fftformer: width is 0; it must be even and at least 2"),
        ({"depths": (1,)}, r"depths is \[1\]; it must hold at least 2"),
        ({"depths": (1, 0)}, "at least 1"),
        ({"refinement": -1}, "refinement is -1; it must be at least 0"),
        ({"expansion": 0.0}, "expansion is 0.0; it must be above 0"),
        ({"width": 2, "expansion": 0.1}, r"expansion is 0.1; times width \(2\) it must be at least 1"),
    ],
)
def test_fftformer_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        FFTformer(**options)
