"""Access to the maps that losses supervise."""

from torch import Tensor

from heads import Restoration


def predicted_map(restoration: Restoration, name: str, loss: str, remedy: str) -> Tensor:
    """A map of the restoration as float32. Raises ValueError, with what to do about it, if the head gives none."""
    if name not in restoration.maps:
        known = ", ".join(sorted(restoration.maps)) or "no maps"
        raise ValueError(f"{loss}: the head gives no map {name!r} (it gives {known}); {remedy}")
    return restoration.maps[name].float()
