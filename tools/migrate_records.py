"""Bring the files of runs from schema 1 to schema 2, once.

    python tools/migrate_records.py FOLDER...

Every record.json, plan.json, tuning.json and experiment.yaml in or below the folders is rewritten where it is of schema
1; what is of schema 2 stays as it is. No number changes: only names of fields do, and claims take the form that they
have in the experiment file. `config_hash` and the keys of stages stay those of the engine that trained the rows, so
`run` treats them as results of an older engine.

    stages[].steps_left_out            -> skipped_steps
    protocol.<stage>.carry             -> output
    protocol.<stage>.frozen_norm       -> freeze_bn_fraction
    protocol.<stage>.loss.region, maps -> mask_bce_dice, map_l1
    margin                             -> equivalence_margin
    rows[].kind: floor                 -> baseline
    rows[].tries                       -> candidates
    claims[]: form, rows, rivals, ...  -> as in the experiment file
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmark.files import write_json, write_text
from reports.errors import FileFormatError
from reports.schema import PlanFile, Record, TuningFile, VersionedFile, parse

Json = dict[str, Any]

NAMES = {
    "carry": "output",
    "frozen_norm": "freeze_bn_fraction",
    "margin": "equivalence_margin",
    "steps_left_out": "skipped_steps",
    "tries": "candidates",
}
LOSSES = {"region": "mask_bce_dice", "maps": "map_l1"}


def rename_settings(value: Any) -> Any:
    """Return settings with the present names, also in dotted paths such as `protocol.coarse.carry`."""
    if isinstance(value, list):
        return [rename_settings(item) for item in value]
    if not isinstance(value, dict):
        return value
    renamed: Json = {}
    for key, content in value.items():
        parts = str(key).split(".")
        parts = [
            LOSSES.get(part, part) if before == "loss" else NAMES.get(part, part)
            for before, part in zip(["", *parts], parts, strict=False)
        ]
        if parts[-1] == "loss" and isinstance(content, dict):
            content = {LOSSES.get(name, name): options for name, options in content.items()}
        renamed[".".join(parts) if len(parts) > 1 or isinstance(key, str) else key] = rename_settings(content)
    return renamed


def migrate_plan(data: Json) -> Json:
    """Return what only plans need: baselines instead of floors, claims as in the experiment file."""
    rows = [{**row, "kind": "baseline" if row["kind"] == "floor" else row["kind"]} for row in data["rows"]]
    tables = {row["row"]: row["table"] for row in rows}
    return {"rows": rows, "claims": [migrate_claim(claim, tables) for claim in data.get("claims") or ()]}


def migrate_claim(claim: Json, tables: Mapping[str, str | None]) -> Json:
    """Return a claim as it stands in the experiment file. `tables`: row -> table, for the rivals of a front."""
    common = {key: claim[key] for key in ("id", "text", "reading", "expected") if key in claim}
    match claim["form"]:
        case "better":
            return common | {key: claim[key] for key in ("better", "worse", "metric", "by", "at_most")}
        case "equivalent":
            return common | {
                "equivalent": claim["rows"],
                "metric": claim["metric"],
                "equivalence_margin": claim["margin"],
            }
        case "within":
            return common | {"within": {"row": claim["row"], "gate": claim["gate"]}}
        case form:
            table = tables[claim["rivals"][0]]
            if {row for row, of in tables.items() if of == table} - {claim["row"]} != {*claim["rivals"]}:
                raise ValueError(f"claim {claim['id']} ({form}): its rivals are not the rows of one table")
            front = {"row": claim["row"], "among": table, "cost": claim["cost"]}
            return common | {"front": front, "metric": claim["metric"]}


FILES: Mapping[str, type[VersionedFile]] = {"record.json": Record, "plan.json": PlanFile, "tuning.json": TuningFile}


def migrate(folder: Path) -> int:
    """Rewrite the files in or below a folder; return how many were of schema 1.

    Raises:
        FileFormatError: A file is still none of schema 2 afterwards; it is left as it was.
    """
    count = 0
    for name, model in FILES.items():
        for file in sorted(folder.rglob(name)):
            data = json.loads(file.read_text(encoding="utf-8"))
            if data.get("schema") != 1:
                continue
            migrated = {**rename_settings(data), "schema": 2, **(migrate_plan(data) if model is PlanFile else {})}
            try:
                parse(model, migrated)
            except FileFormatError as error:
                raise FileFormatError(f"{file}: {error}") from None
            write_json(file, migrated)
            count += 1
    for file in sorted(folder.rglob("experiment.yaml")):
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        if (renamed := rename_settings(data)) != data:
            write_text(file, yaml.safe_dump(renamed, sort_keys=False, allow_unicode=True))
            count += 1
    return count


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(f"{argument}: {migrate(Path(argument))} files migrated")
