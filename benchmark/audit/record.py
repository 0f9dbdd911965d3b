"""The audit as data: what `audit.json` holds (schema 1)."""

from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any, Final

from benchmark.audit import Finding
from benchmark.audit.pair_statistics import Measured, Measures, Unusable

SCHEMA: Final = 1


def as_data(
    name: str, origins: Sequence[str], measured: Sequence[Measured], findings: Sequence[Finding], experiment: str
) -> dict[str, Any]:
    """Without NaN and infinity: the PSNR of equal images is null. `origins`: what was read; `experiment`: its YAML."""
    data = {
        "schema": SCHEMA,
        "name": name,
        "origins": list(origins),
        "unusable": sum(isinstance(one, Unusable) for one in measured),
        "findings": [asdict(finding) for finding in findings],
        "pairs": [_pair(one) for one in measured if isinstance(one, Measures)],
        "experiment_yaml": experiment,
    }
    return _encodable(data)


def _pair(pair: Measures) -> dict[str, Any]:
    found = asdict(pair.degradation)
    psnr = pair.degradation.psnr_db
    shift = None if pair.shift is None else {**asdict(pair.shift), "pixels": pair.shift.pixels}
    size = {"name": pair.name, "split": pair.split, "height": pair.height, "width": pair.width}
    return {**size, **found, "psnr_db": psnr if isfinite(psnr) else None, "shift": shift}


def _encodable(value: Any) -> Any:
    """With names that are no Unicode, as file names may be, written with escapes; tuples become lists."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _encodable(one) for key, one in value.items()}
    return [_encodable(one) for one in value] if isinstance(value, list | tuple) else value
