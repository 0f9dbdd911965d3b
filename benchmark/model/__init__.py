"""A network ready to use: backbone + head, image in, restored image out.

from benchmark.model import build, load
restorer = load("runs/quickstart/base/seed0")     # a record folder
image = restorer(degraded).image                  # B 3 H W in [0, 1]
"""

from benchmark.model.build import build, load
from benchmark.model.restorer import Restorer, restore_image, restore_with_maps

__all__ = ["Restorer", "build", "load", "restore_image", "restore_with_maps"]
