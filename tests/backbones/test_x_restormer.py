"""X-Restormer: equal to the authors' code, to its published cost, and every option does something."""

import pytest
import torch
from torch import nn

from backbones.x_restormer import XRestormer

SMALL = {
    "width": 4,
    "depths": (1, 1),
    "refinement": 1,
    "heads": (1, 2),
    "window_heads": (2, 3),
    "head_width": 3,
    "window": 4,
    "expansion": 2.0,
}
GOLDEN = {"width": 8, "depths": (1, 1, 1, 1), "refinement": 1, "head_width": 4, "expansion": 1.5}


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("xrestormer_d8_w8", GOLDEN),
        pytest.param("full/xrestormer", XRestormer.sizes["x_restormer"], marks=pytest.mark.slow),
    ],
)
def test_x_restormer_gives_the_authors_output(load_golden, with_published_weights, case, options):
    """With the authors' weights from a file, the restorer gives the authors' output."""
    golden = load_golden(case)
    restored = with_published_weights("x_restormer", options, golden)(golden.tensors["input"])
    torch.testing.assert_close(restored, golden.tensors["output"], rtol=1e-5, atol=5e-5)


@pytest.mark.slow
def test_x_restormer_has_the_published_cost(count_macs):
    """Parameters and MACs, attention products and the output convolution included, are those of the authors' code."""
    with torch.device("meta"):
        backbone = XRestormer(**XRestormer.sizes["x_restormer"])
        network = nn.Sequential(backbone, nn.Conv2d(backbone.out_channels, 3, 3, padding=1, bias=False))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == 26.041
    assert round(count_macs(network, 256) / 1e9, 2) == 179.17


@pytest.mark.parametrize(("window", "excess"), [(4, 2), (3, 0), (2, 4), (1, 0)], ids=str)
def test_window_attention_equals_its_formula(randomise, window, excess):
    """Each pixel attends to the larger window, zeros beyond the image included; offsets count rows and columns."""
    heads, size, seen = 2, 3, window + excess
    overlap = excess / window
    options = {**SMALL, "window_heads": (heads, heads), "window": window, "overlap": overlap}
    attention = XRestormer(**options).encoder[0][0].window_attention
    randomise(attention)
    height, width = 2 * window, 3 * window
    features = torch.rand(1, 4, height, width)
    query, key, value = attention.expand(features)[0].view(3, heads, size, height, width)

    def at(values, row, column):
        inside = 0 <= row < height and 0 <= column < width
        return values[:, row, column] if inside else torch.zeros(size)

    attended = torch.zeros(heads * size, height, width)
    for head in range(heads):
        for row in range(height):
            for column in range(width):
                top, left = row // window * window - excess // 2, column // window * window - excess // 2
                scaled = query[head, :, row, column] * size**-0.5
                places = [(i, j) for i in range(seen) for j in range(seen)]
                logits = [
                    scaled @ at(key[head], top + i, left + j)
                    + scaled @ attention.row_offsets[seen - 1 + i - row % window]
                    + scaled @ attention.column_offsets[seen - 1 + j - column % window]
                    for i, j in places
                ]
                weights = torch.stack(logits).softmax(0)
                values = torch.stack([at(value[head], top + i, left + j) for i, j in places])
                attended[head * size : (head + 1) * size, row, column] = weights @ values
    torch.testing.assert_close(attention(features), attention.project(attended[None]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        *({"width": 8}, {"depths": (1, 2)}, {"refinement": 0}, {"heads": (2, 2)}, {"window_heads": (1, 3)}),
        *({"head_width": 4}, {"window": 8, "overlap": 0.25}, {"overlap": 0.0}, {"expansion": 1.5}),
    ],
    ids=str,
)
def test_every_x_restormer_option_changes_the_network(differ, change):
    """Each option changes the parameters or, with equal weights, the output."""
    assert differ(XRestormer(**SMALL), XRestormer(**{**SMALL, **change}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 7}, "x_restormer: width is 7; it must be even"),
        ({"width": 0}, "x_restormer: width is 0; it must be even and at least 2"),
        ({"heads": (1, 2)}, "depths has 4 levels, so must heads"),
        ({"window_heads": (1, 2)}, r"window_heads is \[1, 2\]; depths has 4 levels, so it must hold 4 integers"),
        ({"window_heads": (1, 2, 0, 4)}, "it must hold 4 integers of at least 1"),
        ({"head_width": 0}, "head_width is 0; it must be above 0"),
        ({"window": 0}, "window is 0; it must be above 0"),
        ({"overlap": 0.4}, r"overlap is 0.4; times window \(8\), rounded down, it must be even"),
        ({"overlap": -1.0}, "overlap is -1.0; .* at least 0"),
        ({"expansion": 0.0}, "expansion is 0.0; it must be above 0"),
    ],
)
def test_x_restormer_says_what_is_allowed(options, message):
    """An option outside its range is refused, with the value and what would do."""
    with pytest.raises(ValueError, match=message):
        XRestormer(**options)
