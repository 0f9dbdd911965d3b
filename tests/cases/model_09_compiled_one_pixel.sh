#!/bin/sh
# Runtime `compiled` on an image of 1 x 1 px (nafnet's baseline form): "Detected recompile when torch.compile stance is
# 'fail_on_recompile' ... tensor 'degraded' stride mismatch at index 2. expected 1, actual 3". Sides of 1 have no one stride:
# the tensor it is compiled with and the one of `input_tensor` differ. Takes a minute (compiles).
export OMP_NUM_THREADS=1
python -W ignore - <<'PY'
import sys
import numpy as np, torch
from benchmark.inference.runtimes import prepare
from benchmark.model import build
from benchmark.model.restorer import fold
r = build({"backbone": {"name": "nafnet", "width": 2, "depths": [1]}, "head": {"name": "residual", "padding": "zeros"}}).eval()
try:
    out = prepare("compiled", fold(r), (1, 1), torch.device("cpu")).restore(np.zeros((1, 1, 3), np.uint8))
except Exception as error:
    print(type(error).__name__, str(error)[:300])
    sys.exit(1)
print("restored", out.shape)
PY
