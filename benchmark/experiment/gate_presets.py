"""Limits by name: `gates: {preset: efficient_deblurring}` in an experiment file stands for the gates of a contest."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from benchmark.errors import ExperimentError, shown, suggestion
from benchmark.experiment.document import Document, merge
from benchmark.experiment.schema import AnyGate, CountedGate

Limits = Mapping[str, Mapping[str, Any]]

GATE_PRESETS: Mapping[str, Limits] = {
    "retouching_contest": {
        "size": {"limit_bytes": 10_000_000},
        "latency": {"limit_ms": 50, "device": "V100", "image": [1024, 1024]},
        "gpu_memory": {"limit_bytes": 15_000_000_000, "device": "V100", "image": [1024, 1024]},
        "ram": {"limit_bytes": 10_000_000_000, "image": [1024, 1024]},
    },
    "efficient_deblurring": {
        "parameters": {"limit": 5_000_000},
        "macs": {"limit": 200_000_000_000, "image": [1200, 1920]},
    },
    "efficient_sr": {
        "parameters": {"limit": 276_000},
        "macs": {"limit": 16_700_000_000, "image": [256, 256]},
    },
    "mobile": {
        "size": {"limit_bytes": 4_000_000, "dtype": "float16"},
        "parameters": {"limit": 2_000_000},
        "macs": {"limit": 25_000_000_000, "image": [720, 1280]},
    },
}
"""Name -> gates, as in an experiment file."""

SOURCES: Mapping[str, str] = {
    "retouching_contest": "rule of the reference's contest; the size of the image is our choice, the rule has none",
    "efficient_deblurring": "AIM 2025, efficient real-world deblurring (arXiv 2510.12788)",
    "efficient_sr": "NTIRE 2025, efficient super-resolution: no worse than its baseline EFDN, 0.276 M parameters and "
    "16.70 GMACs at 256 px; its limits of PSNR and of runtime on an RTX A6000 are for x4 super-resolution",
    "mobile": "our choice, since contests on phones rank and set no limit: the order of published Mobile AI networks",
}
"""Where the limits are from."""


def with_gate_presets(document: Document) -> Document:
    """Return a document with the gates of a preset in the place of its name; gates beside the name change those of it.

    Raises:
        ExperimentError: There is no such preset.
    """
    gates = document.data.get("gates") if isinstance(document.data, dict) else None
    if not isinstance(gates, dict) or "preset" not in gates:
        return document
    path, name = ("gates", "preset"), gates["preset"]
    if not isinstance(name, str) or name not in GATE_PRESETS:
        hint = suggestion(str(name), GATE_PRESETS)
        raise ExperimentError(f"{document.place(path)}: gates.preset: no preset {shown(str(name))!r}; {hint}")
    limits = {gate: dict(settings) for gate, settings in GATE_PRESETS[name].items()}
    own = {  # null takes out a gate of the preset, and of another preset that a row replaces
        gate: settings
        for gate, settings in gates.items()
        if gate != "preset" and (settings is not None or gate in limits)
    }
    merged = merge(Document({"gates": limits}, {}), Document({"gates": own}, {}))
    return Document({**document.data, **merged.data}, document.places)


def counted_limits(name: str) -> dict[str, AnyGate]:
    """Return the gates of a preset that are counted, not measured."""
    adapter: TypeAdapter[AnyGate] = TypeAdapter(AnyGate)
    gates = {
        gate: adapter.validate_python({"quantity": gate, **settings}) for gate, settings in GATE_PRESETS[name].items()
    }
    return {gate: limit for gate, limit in gates.items() if isinstance(limit, CountedGate)}
