#!/bin/bash
# OMP_NUM_THREADS 1 or 2 (or a cgroup with other cores) train other weights under the SAME stage key; the stage does not say with how many threads, on which CPU, it was trained, and a row that reuses it records its own. "The same bytes on the CPU" holds only for equal threads.
python - <<'P'
import hashlib, inspect, sys, torch
from benchmark.runner.context import environment
from benchmark.runner.stage_store import StageResult
from benchmark.experiment.stage import Stage
from benchmark.model import build
from benchmark.training.train_state import make_train_state
def train(threads):
    torch.set_num_threads(threads)
    net = build({"backbone": {"name": "gunet", "size": "tiny"}, "head": {"name": "degradation"}}) if False else build({"backbone": {"name": "unet", "width": 16}, "head": {"name": "residual"}})
    stage = Stage.model_validate({"steps": 5, "batch": 4, "patch": 64, "lr": 1e-3, "loss": {"l1": {"weight": 1.0}}})
    state = make_train_state(net.train(), stage, torch.device("cpu")); g = torch.Generator().manual_seed(0)
    for _ in range(6):
        x = torch.rand(4, 3, 64, 64, generator=g); state.optimizer.zero_grad(); net(x).image.sub(0.5).abs().mean().backward(); state.optimizer.step()
    return hashlib.sha256(b"".join(v.detach().numpy().tobytes() for v in net.state_dict().values())).hexdigest()[:12]
env = environment(torch.device("cpu")); names = set(vars(env)) | set(inspect.signature(StageResult).parameters)
a, b = train(1), train(2)
known = any("thread" in n or "machine" in n or "provenance" in n for n in names)
print("1 thread:", a, "2 threads:", b, "| threads in key or stage:", known); sys.exit(a != b and not known)
P
