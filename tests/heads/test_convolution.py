"""Options that every head has."""

import pytest

from benchmark.errors import ComponentError
from benchmark.registry import Registry


@pytest.mark.parametrize("kernel_size", [0, 2, -1])
@pytest.mark.parametrize("head", Registry().names("head"))
def test_even_kernels_are_refused(head, kernel_size):
    """A kernel without a middle is an error that names the option."""
    with pytest.raises(ComponentError, match="kernel_size must be odd"):
        Registry().create("head", head, {"kernel_size": kernel_size}, in_channels=4)
