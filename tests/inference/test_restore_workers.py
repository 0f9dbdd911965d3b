"""Copies of a network restore small images side by side, and a large one alone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.inference.device_setup import present_machine
from benchmark.inference.restore_network import MOST_WHOLE_PIXELS, NetworkUse
from benchmark.inference.restore_workers import RestoreWorkers, restore_workers
from benchmark.model import Restorer

SMALL, LARGE = 100 * 100, MOST_WHOLE_PIXELS


def workers_of(network: Restorer, images: int, use: NetworkUse | None = None) -> RestoreWorkers:
    """What a machine with two cores gets."""
    machine = replace(present_machine(torch.device("cpu")), threads=2)
    return restore_workers(network.eval(), machine, use or NetworkUse(), images, 2, print)


def test_small_images_share_the_cores_and_give_the_same_pixels(network: Restorer) -> None:
    """Two are restored at once, by copies with one thread each."""
    workers = workers_of(network, images=10)
    image = np.random.default_rng(0).random((20, 30, 3), np.float32)
    with workers.restore(SMALL) as first, workers.restore(SMALL) as second:
        assert torch.get_num_threads() == 1
        assert first is not second
        assert np.array_equal(first(image).image, second(image).image)
    assert torch.get_num_threads() == 2


def test_a_large_image_waits_until_it_is_alone_and_has_all_threads(network: Restorer) -> None:
    """So no more features are in memory than for one."""
    workers = workers_of(network, images=10)

    def threads_of_a_large_image() -> int:
        with workers.restore(LARGE):
            return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        with workers.restore(SMALL):
            large = pool.submit(threads_of_a_large_image)
            with pytest.raises(TimeoutError):
                large.result(0.2)
        assert large.result(60) == 2


@pytest.mark.parametrize(
    ("images", "runtime", "count"), [(10, "eager", 2), (1, "eager", 1), (10, "channels_last", 2), (10, "compiled", 1)]
)
def test_no_more_copies_than_are_of_use(network: Restorer, images: int, runtime: str, count: int) -> None:
    """A single image needs one; so do runtimes that prepare the network for each size."""
    assert workers_of(network, images, NetworkUse(runtime)).count == count
