"""docs/own_components.md: every example is a component that its contract accepts and that computes."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data import Augmentation, Pair, Source
from benchmark.model import build
from benchmark.registry import Registry
from heads import Restoration
from losses import Batch

PAGE = (Path(__file__).parents[1] / "docs/own_components.md").read_text(encoding="utf-8")
EXAMPLES = {
    match[1]: match[0]
    for match in re.finditer(r"(?<=^```python\n)# (\w+\.py)\n.*?(?=^```)", PAGE, re.MULTILINE | re.DOTALL)
}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with all examples of the page as plugins."""
    files = [tmp_path / name for name in EXAMPLES]
    for file in files:
        file.write_text(EXAMPLES[file.name])
    return Registry(tuple(files))


def test_the_page_has_an_example_of_each_kind(registry: Registry) -> None:
    """A newcomer finds a file to start from whatever the kind of component."""
    names = {"backbone": "my_net", "head": "my_head", "loss": "my_loss", "source": "my_source"}
    names |= {"augmentation": "my_augmentation", "metric": "my_metric"}
    assert [kind for kind, name in names.items() if name not in registry.names(kind)] == []


def test_the_network_of_the_page_restores_an_image(registry: Registry) -> None:
    """Backbone and head of the page work together at odd sizes, and its loss has a gradient."""
    model = {"backbone": {"name": "my_net", "width": 4}, "head": {"name": "my_head"}}
    image = torch.rand(2, 3, 17, 23)
    restoration: Restoration = build(model, 0, registry)(image)
    assert restoration.image.shape == image.shape and set(restoration.maps) == {"gain"}
    loss = registry.find("loss", "my_loss")()(restoration, Batch(image, image.flip(0), torch.ones(2, 1, 17, 23)))
    loss.backward()
    assert loss.shape == () and loss.isfinite() and loss > 0


def test_the_source_and_the_augmentation_of_the_page_give_pairs(registry: Registry) -> None:
    """The source reads the same pair each time; the augmentation changes both images alike."""
    source: Source = registry.find("source", "my_source")(count=2, size=16)
    pair = source.read(1)
    assert len(source) == 2 and np.array_equal(pair.degraded, source.read(1).degraded)
    augmentation: Augmentation = registry.find("augmentation", "my_augmentation")()
    pairs: list[Pair] = [augmentation.apply(pair, np.random.default_rng(seed)) for seed in range(8)]
    changed = (pair.target != pair.degraded).any(-1)
    assert all(((image.target != image.degraded).any(-1) == changed).all() for image in pairs)


def test_the_metric_of_the_page_scores_an_image(registry: Registry) -> None:
    """It measures the largest error, in 8-bit levels."""
    target = np.zeros((4, 4, 3), np.uint8)
    restored = target.copy()
    restored[1, 2, 0] = 9
    score = registry.find("metric", "my_metric")().score
    assert score(restored, target, target, np.ones((4, 4), bool)) == 9
    assert score(target, target, target, np.ones((4, 4), bool)) == 0
