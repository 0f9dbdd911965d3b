"""The page of a measurement: cost, latency and gates of networks, from what `measure --json` wrote."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from reports import text
from reports.errors import FileFormatError, ReportError
from reports.figures.drawing import RenderedFigure
from reports.figures.row_lines import latency_dots
from reports.grid import ROW_COLUMN, Cell, Column, Grid, plain
from reports.pages import Code, Page, section
from reports.schema import FileModel, GateResult, Json, Number, from_json, read_json
from reports.tables import gates, provenance

SCHEMA = 2


class _OfImage(FileModel, extra="ignore"):
    image: tuple[int, int]

    @property
    def size(self) -> str:
        """Height × width of the image, px."""
        return "×".join(map(str, self.image))


class Macs(_OfImage):
    """Multiply-adds of one image."""

    macs: Number | None


class Timing(_OfImage):
    """A network under one condition. Without a median, `skipped` says why."""

    runtime: str
    name: str = ""
    """The protocol."""
    median_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    skipped: str = ""
    unsteady: tuple[str, ...] = ()


class Network(FileModel, extra="ignore"):
    """One network: what it costs, or why it could not be measured."""

    rows: tuple[str, ...]
    error: str | None = None
    params: int | None = None
    weight_bytes: dict[str, int] = Field(default_factory=dict[str, int])
    macs_of_images: tuple[Macs, ...] = ()
    latencies: tuple[Timing, ...] = ()
    gates: tuple[GateResult, ...] = ()
    citations: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The names of the rows that have this network."""
        return text.listing(list(self.rows), "or")


class Measurement(FileModel, extra="ignore"):
    """A file of `measure --json`."""

    networks: tuple[Network, ...]
    machine: Json = Field(default_factory=dict[str, Any])
    provenance: Json = Field(default_factory=dict[str, Any])


Timings = Sequence[tuple[str, Timing]]
"""Network and timing."""


def build(file: Path) -> Page:
    """Return the page of the numbers in `file`. A network that could not be measured is listed with the reason.

    Raises:
        ReportError: The file is not one that `measure --json` wrote.
    """
    data = _read(file)
    networks = data.networks
    timings = [(network.title, timing) for network in networks for timing in network.latencies]
    device = str(data.machine.get("device_name") or "")
    failures = tuple(
        f"{text.printable(network.title)}: {text.printable(network.error)}." for network in networks if network.error
    )
    citations = dict.fromkeys(citation.strip() for network in networks for citation in network.citations)
    command = str(data.provenance.get("command") or "")
    return Page(
        title=text.printable(file.stem),
        facts=tuple(filter(None, (text.count(len(networks), "network"), text.printable(device)))),
        headline=(_headline(timings, len(networks)),),
        sections=(
            section("cost", "Cost", _cost_table(networks), failures),
            section("latency", "Latency", *((_latency_table(timings), *_figures(timings)) if timings else ())),
            section(
                "gates",
                "Gates",
                gates.gate_table((network.title, gate) for network in networks for gate in network.gates),
            ),
            section(
                "provenance",
                "Provenance",
                provenance.provenance_table([data.provenance]),
                Code(command, "sh") if command else None,
            ),
            section("cite", "How to cite", Code("\n\n".join(citations), "bibtex") if citations else None),
        ),
    )


def _read(file: Path) -> Measurement:
    try:
        data = read_json(file)
    except FileFormatError as error:
        raise ReportError(f"{file}: {error}") from None
    if not isinstance(data, dict) or "networks" not in data:
        raise ReportError(f"{file}: has no `networks`; a report is made from what `measure --json FILE` writes")
    if data.get("schema") != SCHEMA:
        raise ReportError(
            f"{file}: schema is {data.get('schema')!r}, this version reads {SCHEMA}; measure again with --json"
        )
    try:
        return from_json(Measurement, data)
    except ReportError as error:
        raise ReportError(f"{file}: not in the form that `benchmark measure --json` writes: {error}") from None


def _headline(timings: Timings, networks: int) -> str:
    fastest = [
        f"{text.printable(name)} with {timing.runtime} at {timing.size} px ({text.significant(timing.median_ms)} ms)"
        for name, timing in _fastest(timings)
    ]
    nothing = f"{text.count(networks, 'network')}; no latencies to compare."
    return f"Fastest: {text.listing(fastest)}." if fastest else nothing


def _fastest(timings: Timings) -> list[tuple[str, Timing]]:
    """Return the timing with the lowest median of each image size that has several."""
    timed = [(name, timing) for name, timing in timings if timing.median_ms is not None]
    sizes = dict.fromkeys(timing.size for _, timing in timed)
    by_size = ([pair for pair in timed if pair[1].size == size] for size in sizes)
    return [min(of_size, key=lambda pair: pair[1].median_ms or 0.0) for of_size in by_size if len(of_size) > 1]


def _cost_table(networks: Sequence[Network]) -> Grid:
    sizes = list(dict.fromkeys(macs.size for network in networks for macs in network.macs_of_images))
    columns = (
        ROW_COLUMN,
        Column("params", "params", hint="Number of parameters."),
        *(
            Column(f"macs_{size}", f"MACs at {size}", "G", hint="Multiply-adds of convolutions and matrix products.")
            for size in sizes
        ),
        Column("weight_bytes_float32", "file, float32", "MB"),
        Column("weight_bytes_float16", "file, float16", "MB"),
    )
    lines: list[tuple[Cell, ...]] = []
    for network in networks:
        macs = {entry.size: entry.macs for entry in network.macs_of_images}
        files = [network.weight_bytes.get(dtype) for dtype in ("float32", "float16")]
        lines.append(
            (
                plain(network.title),
                Cell(network.params, text.number(network.params, 0)),
                *(Cell(macs.get(size), text.giga(macs.get(size))) for size in sizes),
                *(Cell(size, text.megabytes(size)) for size in files),
            )
        )
    return Grid("cost", "What each network costs; 1 MB is 10^6 bytes.", columns, tuple(lines), sortable=True)


def _latency_table(timings: Timings) -> Grid:
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
    lines = tuple(
        (
            plain(name),
            plain(timing.size),
            plain(timing.runtime),
            Cell(timing.median_ms, text.significant(timing.median_ms), best=(name, timing) in fastest),
            *(Cell(value, text.significant(value)) for value in (timing.p90_ms, timing.p99_ms)),
            plain(timing.skipped or "; ".join(timing.unsteady)),
        )
        for name, timing in timings
    )
    protocols = text.listing(sorted({timing.name for _, timing in timings} - {""}))
    caption = f"Time of one image by the {protocols} protocol. Bold: the fastest for an image size."
    return Grid("latency", caption, columns, lines, sortable=True)


def _figures(timings: Timings) -> tuple[RenderedFigure, ...]:
    return tuple(
        RenderedFigure(
            f"latency_{size}",
            f"Reading: dots further left are faster. Median time of one image of {size} px; a dot is a runtime.",
            f"Dot plot of the medians at {size} px; the numbers are in the table of latencies.",
            latency_dots([(name, timing.runtime, timing.median_ms) for name, timing in timings if timing.size == size]),
        )
        for size in dict.fromkeys(timing.size for _, timing in timings if timing.median_ms is not None)
    )
