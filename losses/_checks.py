"""What losses with a window ask of their options and of a patch."""

from torch import Tensor


def check_window_size(window_size: int) -> None:
    """Raises ValueError if `window_size` has no middle pixel, or is a single one."""
    if window_size < 3 or window_size % 2 == 0:
        raise ValueError(f"window_size must be odd and at least 3, not {window_size}")


def check_sides(image: Tensor, min_side: int, loss: str, remedy: str = "enlarge the patch") -> None:
    """Raises ValueError, with what to do about it, if a side of `image` (`B C H W`) is below `min_side` px."""
    height, width = image.shape[-2:]
    if min(height, width) < min_side:
        raise ValueError(
            f"{loss}: a patch of {height} x {width} px is too small, it needs at least {min_side} px a side; {remedy}"
        )
