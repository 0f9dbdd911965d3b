"""Layers: what is painted goes over the picture from back to front."""

from dataclasses import dataclass

from benchmark.synthetic_faces.colour import Field, over
from benchmark.synthetic_faces.geometry import Window


@dataclass(frozen=True)
class Layer:
    """Something to lay over the picture in a window: planes `3 H W` (or one colour, `3 1 1`) and opacity `H W`."""

    window: Window
    rgb: Field
    cover: Field


def lay(picture: Field, *layers: Layer) -> Field:
    """Picture, planes `3 H W`, with the layers over it, the first one lowest."""
    result = picture.copy()
    for layer in layers:
        result[:, *layer.window] = over(result[:, *layer.window], layer.rgb, layer.cover)
    return result
