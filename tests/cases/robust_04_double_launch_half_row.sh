#!/bin/bash
# The same command started twice by mistake, the second ended with Ctrl-C: the second removes the scores and images that the first has just written, the first then writes record.json, and a "done" row without its scores stands for ever (run and run --replace call it finished).
. "$(dirname "$0")/_setup.sh"
tiny_experiment 2 32
OUT="$T/runs/tiny"; ROW="$OUT/base/seed0"; bad=0
python -m benchmark run "$T/tiny.yaml" --output "$OUT" > "$T/log" 2>&1 || { cat "$T/log"; exit 3; }

# The first command is at its row: it holds the folder and has written everything but the record.
mv "$ROW/record.json" "$T/record.json"
mkfifo "$T/end"
python - "$OUT/.leases/base" "$T/end" <<'P' &
import sys
from pathlib import Path
from benchmark.lease import LeaseFolder
with LeaseFolder(Path(sys.argv[1])).hold("seed0") as lease:
    Path(sys.argv[1], "held").touch()
    open(sys.argv[2]).read()
P
while [ ! -e "$OUT/.leases/base/held" ]; do sleep 0.1; done
rm "$OUT/.leases/base/held"
python - "$T" "$OUT" <<'P'
import signal, subprocess, sys, time
log = open(f"{sys.argv[1]}/second", "w+")
second = subprocess.Popen([sys.executable, "-m", "benchmark", "run", f"{sys.argv[1]}/tiny.yaml", "--output", sys.argv[2]], stderr=log)
deadline = time.monotonic() + 120
while "waiting for it" not in open(log.name).read() and second.poll() is None and time.monotonic() < deadline: time.sleep(0.1)
second.send_signal(signal.SIGINT); second.wait()
P
grep "waiting for it" "$T/second" || { echo "FAULT: the second command does not say who has the row"; bad=1; }
[ -e "$ROW/scores.csv" ] || { echo "FAULT: the second command has removed the scores of the first"; bad=1; }
mv "$T/record.json" "$ROW/record.json"; echo > "$T/end"; wait

# A record that stands without its scores is not finished, with --replace or without.
rm -f "$ROW/scores.csv"
for option in "" --replace; do
  python -m benchmark plan "$T/tiny.yaml" --output "$OUT" $option > "$T/plan" 2>&1
  grep -E "base .*finished" "$T/plan" && { echo "FAULT: 'plan $option' calls the row finished"; bad=1; }
done
python -m benchmark run "$T/tiny.yaml" --output "$OUT" > "$T/log" 2>&1
[ -e "$ROW/scores.csv" ] || { echo "FAULT: the row is not tested again"; bad=1; }
exit $bad
