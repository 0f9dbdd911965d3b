#!/bin/bash
# JPEG as .jfif/.jpe, AVIF, GIF, ...: passed over without a word; a partner of such a suffix is called missing.
. "$(dirname "$0")/_setup.sh"
tiny_experiment 3 64

bad=0
python -m benchmark run "$T/tiny.yaml" --output "$T/run" > "$T/out" 2>&1 || { tail -3 "$T/out"; exit 1; }
mkdir "$T/in"; python - "$T" <<'E'
import sys; from PIL import Image
t = sys.argv[1]; im = Image.open(f"{t}/p/test/degraded/test0.png")
im.save(f"{t}/in/a.png"); im.save(f"{t}/in/b.jfif", "JPEG"); im.save(f"{t}/in/c.gif")
Image.open(f"{t}/p/train/degraded/train0.png").save(f"{t}/p/train/degraded/train0.jfif", "JPEG")
E
rm "$T/p/train/degraded/train0.png"
python -m benchmark restore "$T/run/base/seed0" "$T/in" "$T/o" > "$T/r" 2>&1; tail -1 "$T/r"
for name in a b c; do
if [ ! -f "$T/o/$name.png" ] && ! grep -qE "jfif|passed over|ignored" "$T/r"; then echo "FAULT: $name was neither restored nor mentioned"; bad=1; fi
done
python -m benchmark plan "$T/tiny.yaml" --output "$T/run2" > "$T/r2" 2>&1; tail -1 "$T/r2"
if grep -q "has no partner" "$T/r2" && ! grep -q jfif "$T/r2"; then echo "FAULT: train0.jfif lies there; its suffix is the reason"; bad=1; fi
exit $bad
