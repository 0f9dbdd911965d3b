"""By how much an image restored in tiles differs from the same image restored whole, for each backbone:

    python tests/benchmarks/tile_differences.py photo.png --tile 256 --backbones unet:tiny nafnet:tiny gunet:tiny

Networks have random weights everywhere: blocks of fresh ones begin as doing nothing. Prints a line of JSON for each:
how far it looks (null: farther than a tile, or it depends on the size of the image), the overlap that was chosen, and
the difference in levels of 255.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[2]
DEFAULT = ["unet:tiny", "blend_pyramid:tiny", "nafnet:tiny", "gunet:tiny", "restormer_lite:tiny"]
sys.path[:0] = [str(ROOT)]


def main() -> None:
    from benchmark.experiment.document import Document
    from benchmark.experiment.resolve import resolve_model
    from benchmark.inference.prepared_network import ImageNetwork, input_tensor
    from benchmark.inference.tiles import local_radius, restore_in_tiles, tiling_for
    from benchmark.model import build
    from benchmark.registry import Registry

    parser = argparse.ArgumentParser()
    parser.add_argument("image")
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument(
        "--backbones", nargs="+", default=["unet:tiny", "blend_pyramid:tiny", "nafnet:tiny", "gunet:tiny"]
    )
    options = parser.parse_args()
    image: NDArray[np.float32] = np.asarray(Image.open(options.image).convert("RGB")).astype(np.float32)
    image /= 255
    cpu, registry = torch.device("cpu"), Registry()
    for text in options.backbones:
        name, _, size = text.partition(":")
        settings = {"model": {"backbone": {"name": name, "size": size}, "head": {"name": "degradation"}}}
        restorer = build(resolve_model(Document(settings, {}), registry), 0, registry).eval()
        generator = torch.Generator().manual_seed(0)
        for tensor in restorer.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.02 * torch.randn(tensor.shape, generator=generator)
        network = ImageNetwork(restorer)

        @torch.inference_mode()
        def restore(part: NDArray[np.float32], network: ImageNetwork = network) -> NDArray[np.float32]:
            size = (part.shape[0], part.shape[1])
            return network(input_tensor(part, size, cpu))[0].permute(1, 2, 0).numpy()

        tiling, _ = tiling_for(restorer, options.tile, 32, cpu)
        whole = restore(image.copy())
        levels = 255 * np.abs(restore_in_tiles(restore, image.copy(), tiling) - whole)
        changed = 255 * float(np.abs(whole - image).mean())
        line = {"backbone": text, "radius_px": local_radius(restorer, tiling.tile, cpu), "overlap_px": tiling.overlap}
        figures = {"mean_levels": float(levels.mean()), "most_levels": float(levels.max()), "changed_levels": changed}
        print(json.dumps(line | {key: float(f"{value:.3g}") for key, value in figures.items()}), flush=True)


if __name__ == "__main__":
    main()
