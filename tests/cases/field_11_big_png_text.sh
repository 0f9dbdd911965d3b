#!/bin/bash
# A sound PNG with more than 1 MB of text (workflow of an image generator, large profile) is refused as not readable.
. "$(dirname "$0")/_setup.sh"

python - "$T" <<'E'
import sys; from pathlib import Path; from PIL import Image, PngImagePlugin
t = sys.argv[1]; info = PngImagePlugin.PngInfo(); info.add_itxt("workflow", "x" * 2_000_000, zip=True)
Image.new("RGB", (32, 32), (200, 150, 100)).save(f"{t}/a.png", pnginfo=info)
from benchmark.data.image_io import read_image; from benchmark.errors import DataError
try: image = read_image(Path(f"{t}/a.png"))
except DataError as error: print("FAULT: the pixels are sound, every other program opens it:", error); sys.exit(1)
sys.exit(tuple(image[0, 0]) != (200, 150, 100))
E
