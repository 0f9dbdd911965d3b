#!/bin/bash
# Checkpoints as training programs leave them: torch.compile, Lightning, mmagic, AveragedModel, timm's EMA.
. "$(dirname "$0")/_setup.sh"

python - "$T" <<'E'
import sys, torch, os
from pathlib import Path
from benchmark.errors import CheckpointError
from benchmark.model.build import find_config
from benchmark.model.weight_files import read_checkpoint
from benchmark.registry import Registry
from safetensors.torch import load_file
t = sys.argv[1]
golden = load_file("tests/goldens/nafnet_w8_e11_m1_d11.safetensors")
sd = {k[3:]: v.float() for k, v in golden.items() if k.startswith("sd/")}
under = lambda prefix: {prefix + k: v for k, v in sd.items()}
files = {
    "torch.compile (_orig_mod.)": {"params": under("_orig_mod.")}, "DDP of compiled (module._orig_mod.)": {"state_dict": under("module._orig_mod.")},
    "Lightning (model.)": {"epoch": 1, "state_dict": under("model.")}, "mmagic (generator.)": {"state_dict": under("generator.")},
    "AveragedModel (n_averaged)": {"n_averaged": torch.tensor(3), **under("module.")},
    "timm with EMA (state_dict_ema)": {"state_dict": {k: v * 0 for k, v in sd.items()}, "state_dict_ema": sd},
}
bad = 0
for name, content in files.items():
    torch.save(content, f"{t}/c.pth")
    # A prefix can only be told from a part of the network (DnCNN's own names begin with "model.") by what fits.
    model = {"backbone": {"name": "nafnet", "width": 8, "depths": [1, 1, 1, 1, 1]}, "head": {"name": "residual", "padding": "zeros"}}
    try: found = find_config(Path("c.pth"), read_checkpoint(Path(f"{t}/c.pth")), {"golden": model}, Registry()).fit.source.tensors
    except CheckpointError as error: print("FAULT:", name, "refused:", error); bad = 1; continue
    if set(found) != set(sd): print("FAULT:", name, "names not found:", next(iter(found))); bad = 1
    elif not all(torch.equal(found[k], sd[k]) for k in sd): print("FAULT:", name, "the raw weights are taken in silence, not the average"); bad = 1
sys.exit(bad)
E
