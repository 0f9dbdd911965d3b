"""The page of a measurement: cost, latency and gates of networks, from what `measure --json` wrote."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from reports import text
from reports.errors import ReportError
from reports.figures.figure_output import Drawing, render, style
from reports.figures.latency_figure import Timing, latency_bars
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.pages.section_page import PlainPage, Section
from reports.schema import GateResult, Json, from_json
from reports.tables import gates, provenance

SCHEMA = 2
_MACS_HINT = "Multiply-adds of convolutions and matrix products."


def build(file: Path) -> PlainPage:
    """The page of the numbers in `file`. Networks that could not be measured stand in it with the reason.

    Raises: `ReportError` where the file is not one that `measure --json` wrote.
    """
    data = _read(file)
    try:
        return _page(text.printable(file.stem), data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(
            f"{file}: has another form than `python -m benchmark measure --json` writes: {error}"
        ) from error


def _read(file: Path) -> Json:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{file}: not readable as JSON ({error})") from error
    if not isinstance(data, dict) or "networks" not in data:
        raise ReportError(f"{file}: has no `networks`; a report is made from what `measure --json FILE` writes")
    if data.get("schema") != SCHEMA:
        raise ReportError(
            f"{file}: schema is {data.get('schema')!r}, this version reads {SCHEMA}; measure again with --json"
        )
    return cast(Json, data)


def _page(title: str, data: Json) -> PlainPage:
    networks = cast(list[Json], data["networks"])
    timings = _timings(networks)
    machine = cast(Json, data.get("machine") or {})
    facts = (text.count(len(networks), "network"), str(machine.get("device_name") or ""))
    return PlainPage(
        title=title,
        facts=tuple(text.printable(fact) for fact in facts if fact),
        lead=_lead(timings, len(networks)),
        sections=tuple(section for section in _sections(networks, timings, data) if section),
    )


def _sections(networks: Sequence[Json], timings: Sequence[Timing], data: Json) -> Sequence[Section | None]:
    failed = [f"{_name(one)}: {one['error']}." for one in networks if "error" in one]
    judged = _gates(networks)
    sources = dict.fromkeys(str(entry).strip() for one in networks for entry in one.get("citations") or ())
    about = cast(Json, data.get("provenance") or {})
    return (
        Section("cost", "Cost", grids=(_costs(networks),), notes=tuple(map(text.printable, failed))),
        Section("latency", "Latency", grids=(_latencies(timings),), drawings=_drawings(timings)) if timings else None,
        Section("gates", "Gates", grids=(judged,), notes=(gates.LEGEND,)) if judged else None,
        Section("provenance", "Provenance", grids=(provenance.facts([about]),), code=str(about.get("command") or ""),
                language="sh"),
        Section("cite", "How to cite", code="\n\n".join(sources), language="bibtex") if sources else None,
    )  # fmt: skip


def _name(network: Json) -> str:
    return text.listing([str(row) for row in network["rows"]], "or")


def _costs(networks: Sequence[Json]) -> Grid:
    shapes = list(dict.fromkeys(_sides(entry) for one in networks for entry in one.get("macs_of_images") or ()))
    columns = (
        ROW_COLUMN,
        Column("params", "params", hint="Number of parameters."),
        *(
            Column(f"macs_{shape}", f"MACs at {shape}", "G", hint="Of convolutions and matrix products.")
            for shape in shapes
        ),
        Column("weight_bytes_float32", "file, float32", "MB"),
        Column("weight_bytes_float16", "file, float16", "MB"),
    )
    lines = tuple(_cost_line(one, shapes) for one in networks)
    return Grid("cost", "What each network costs; 1 MB is 10^6 bytes.", columns, lines, sortable=True)


def _cost_line(network: Json, shapes: Sequence[str]) -> Line:
    macs = {_sides(entry): _number(entry["macs"]) for entry in network.get("macs_of_images") or ()}
    sizes, params = cast(Json, network.get("weight_bytes") or {}), _number(network.get("params"))
    files = [_number(sizes.get(dtype)) for dtype in ("float32", "float16")]
    return (
        plain(_name(network)),
        Cell(params, text.number(params, 0)),
        *(Cell(macs.get(shape), text.giga(macs.get(shape))) for shape in shapes),
        *(Cell(size, text.megabytes(size)) for size in files),
    )


def _timings(networks: Sequence[Json]) -> list[Timing]:
    return [_timing(_name(one), cast(Json, entry)) for one in networks for entry in one.get("latencies") or ()]


def _timing(name: str, entry: Json) -> Timing:
    unsteady = [str(reason) for reason in entry.get("unsteady") or ()]
    return Timing(
        network=name,
        image=_sides(entry),
        runtime=str(entry["runtime"]),
        protocol=str(entry.get("name") or ""),
        median_ms=_number(entry.get("median_ms")),
        p90_ms=_number(entry.get("p90_ms")),
        p99_ms=_number(entry.get("p99_ms")),
        remark=str(entry["skipped"]) if "skipped" in entry else "; ".join(unsteady),
    )


def _latencies(timings: Sequence[Timing]) -> Grid:
    fastest = _fastest(timings)
    columns = (
        ROW_COLUMN,
        Column("image", "image", "px", numeric=False),
        Column("runtime", "runtime", numeric=False),
        Column("median_ms", "median", "ms"),
        Column("p90_ms", "p90", "ms"),
        Column("p99_ms", "p99", "ms"),
        Column("remark", "remark", numeric=False),
    )
    lines = tuple(_timing_line(one, fastest) for one in timings)
    protocols = sorted({one.protocol for one in timings} - {""})
    caption = f"Time of one image by the {text.listing(protocols)} protocol. Bold: the fastest of an image size."
    return Grid("latency", caption, columns, lines, sortable=True)


def _timing_line(one: Timing, fastest: Sequence[Timing]) -> Line:
    times = [Cell(value, text.significant(value)) for value in (one.p90_ms, one.p99_ms)]
    median = Cell(one.median_ms, text.significant(one.median_ms), best=one in fastest)
    return (plain(one.network), plain(one.image), plain(one.runtime), median, *times, plain(one.remark))


def _fastest(timings: Sequence[Timing]) -> list[Timing]:
    """The timing with the lowest median of each image size."""
    measured = [one for one in timings if one.median_ms is not None]
    by_image = {one.image: [other for other in measured if other.image == one.image] for one in measured}
    return [min(found, key=lambda one: one.median_ms or 0.0) for found in by_image.values() if len(found) > 1]


def _lead(timings: Sequence[Timing], networks: int) -> str:
    fastest = _fastest(timings)
    if not fastest:
        return f"{text.count(networks, 'network')}; no latencies to compare."
    parts = [
        f"{text.printable(one.network)} with {one.runtime} at {one.image} px ({text.significant(one.median_ms)} ms)"
        for one in fastest
    ]
    return f"Fastest: {text.listing(parts)}."


def _drawings(timings: Sequence[Timing]) -> tuple[Drawing, ...]:
    with style():
        return tuple(
            render(
                latency_bars([one for one in timings if one.image == image]),
                f"latency_{image}",
                f"Median time of one image of {image} px; a dot is a runtime.",
                f"Dot plot of the medians at {image} px; the numbers are in the table of latencies.",
            )
            for image in dict.fromkeys(one.image for one in timings if one.median_ms is not None)
        )


def _gates(networks: Sequence[Json]) -> Grid | None:
    found = [
        (_name(one), from_json(GateResult, cast(Json, gate))) for one in networks for gate in one.get("gates") or ()
    ]
    return gates.grid_of(found)


def _sides(entry: Any) -> str:
    return "×".join(str(int(side)) for side in entry["image"])


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    return value
