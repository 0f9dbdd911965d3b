"""Options that every head with a convolution has."""

import pytest

from benchmark.errors import ComponentError
from benchmark.registry import Registry

HEADS = ["rgb", "residual", "degradation", "mask_blend", "blend"]


@pytest.mark.parametrize("kernel_size", [0, 2, -1])
@pytest.mark.parametrize("head", HEADS)
def test_even_kernels_are_refused(head, kernel_size):
    """A kernel without a middle is an error that names the option."""
    with pytest.raises(ComponentError, match="kernel_size must be odd"):
        Registry().create("head", head, {"kernel_size": kernel_size}, in_channels=4)


def test_no_head_is_left_out():
    """Every head of the project is among those tested, and the helper is not taken for one."""
    assert sorted(HEADS) == Registry().names("head")
