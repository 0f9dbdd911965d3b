#!/bin/bash
# restore loses alpha, colour profile, 16 bits and further frames of an image without a word.
. "$(dirname "$0")/_setup.sh"
tiny_experiment 3 64

python -m benchmark run "$T/tiny.yaml" --output "$T/run" > "$T/out" 2>&1 || { tail -3 "$T/out"; exit 1; }
mkdir "$T/in"; python - "$T" <<'E'
import sys; import numpy as np; from PIL import Image, ImageCms
t = sys.argv[1]; im = Image.open(f"{t}/p/test/degraded/test0.png"); a = np.asarray(im)
other = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # made one of other primaries
other = other.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
other = other.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
im.save(f"{t}/in/profile.png", icc_profile=other)
Image.fromarray(np.dstack([a, a[..., 0]])).save(f"{t}/in/alpha.png")
Image.fromarray(a[..., 0].astype(np.uint16) * 257).save(f"{t}/in/sixteen.png")
im.save(f"{t}/in/frames.webp", save_all=True, append_images=[im.rotate(90), im.rotate(180)], duration=100)
E
python -m benchmark restore "$T/run/base/seed0" "$T/in" "$T/o" > "$T/r" 2>&1; cat "$T/r"
python - "$T" <<'E'
import sys; from PIL import Image
t = sys.argv[1]; said = open(f"{t}/r").read(); bad = []
if Image.open(f"{t}/o/alpha.png").mode != "RGBA" and "alpha" not in said: bad.append("alpha")
if not Image.open(f"{t}/o/profile.png").info.get("icc_profile") and "profile" not in said: bad.append("colour profile")
if "sixteen" not in said and "bits" not in said: bad.append("16 bits")
if "frames" not in said: bad.append("2 of 3 frames")
if bad: print("FAULT: lost without a word:", ", ".join(bad))
sys.exit(bool(bad))
E
