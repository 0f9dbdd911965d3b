#!/bin/sh
# restore --tile: pixels within the receptive radius of a tile's edge see padding where the image goes on, and the linear
# fade still gives them up to radius / overlap of the weight. A network with a radius of 5 px under an overlap of 32 px could
# be restored exactly (give the outer quarter of each overlap no weight). An image smaller than a tile is continued by
# reflection and differs at its right and bottom edge from the one restored whole, in every runtime.
export OMP_NUM_THREADS=1
python -W ignore - <<'PY'
import sys
import numpy as np, torch
from benchmark.inference.tiles import Tiling, restore_in_tiles
from benchmark.model import build, restore_image
torch.manual_seed(0)
r = build({"backbone": {"name": "dncnn", "width": 16, "depth": 5, "norm": "none"}, "head": {"name": "residual", "padding": "zeros"}}).eval()
with torch.no_grad():
    for p in r.parameters():
        p.mul_(1.0)
image = np.random.default_rng(0).integers(100, 150, (130, 200, 3), dtype=np.uint8)
dev = torch.device("cpu")
def differ(image, tile, overlap):
    whole = restore_image(r, image, dev).astype(int)
    tiles = restore_in_tiles(lambda t: restore_image(r, t, dev), image, Tiling(tile, overlap))
    return np.abs(whole - tiles).max(axis=2), np.abs(whole - image).mean()
large, change = differ(image, 64, 32)
small, _ = differ(image[:40, :50], 64, 32)
print(f"the network changes {change:.1f} levels; tiles 64/32: off by up to {large.max()} levels, {np.mean(large > 1):.1%} of pixels by more than 1; "
      f"image smaller than the tile: up to {small.max()}")
sys.exit(1 if large.max() > 1 or small.max() > 1 else 0)
PY
