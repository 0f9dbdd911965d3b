"""What a card says about a row beside its quality: photographs, size, time and the limits that it keeps."""

from collections.abc import Sequence

from reports import text
from reports.metrics import IMAGE_METRICS
from reports.results.further_tests import FurtherTest
from reports.results.summary import Summary, latency
from reports.schema import PHOTOGRAPHS, GateResult
from reports.tables import gates

Facts = tuple[tuple[str, str], ...]
"""Terms and values."""

_ON_PHOTOGRAPHS = {"psnr": "PSNR", "psnr_spots": "spots", "psnr_background": "background"}


def on_photographs(row: Summary, tests: Sequence[FurtherTest]) -> Facts:
    """Return what a row does to photographs, against doing nothing; that they were not measured is a fact, too."""
    test = next((test for test in tests if test.name == PHOTOGRAPHS), None)
    tested = next((tested for tested in test.rows if tested.row == row.row), None) if test else None
    if test is None or tested is None:
        return (("on photographs", "not measured"),)
    gains = [
        f"{name} {text.signed(tested.gains[metric], IMAGE_METRICS[metric].decimals)} dB"
        for metric, name in _ON_PHOTOGRAPHS.items()
        if metric in tested.gains
    ]
    levels = tested.means.get("harm")
    harm = "" if levels is None else f"; harm {text.with_unit(text.number(levels, 2), IMAGE_METRICS['harm'].unit)}"
    warned = "worse outside the spots: " if tested.worsens_background else ""
    warned = "worse than doing nothing: " if tested.loses else warned
    against = f"{', '.join(gains)} against doing nothing" if gains else "no comparison with doing nothing"
    return (("on photographs", f"{warned}{against}{harm} ({text.count(len(test.images), 'image')})"),)


def costs(row: Summary) -> Facts:
    """Return file size and latency, with the conditions under which it was measured."""
    size = row.model.file_bytes if row.model else None
    gate = latency(row)
    time = "not measured here"
    if gate and gate.measured is not None:
        doubts = "; ".join(filter(None, (gates.conditions(gate), *gates.doubts(gate))))
        time = f"{text.significant(gate.measured)} ms ({doubts})"
    return ("file", f"{text.megabytes(size)} MB" if size else text.ABSENT), ("one image", time)


def limits(row: Summary) -> Facts:
    """Return which limits a row keeps, and of each other one why that is not known; nothing without limits."""
    kept = [_limit(gate) for gate in row.gates if gate.result == "passed"]
    others = [_open_limit(gate) for gate in row.gates if gate.result != "passed"]
    parts = [f"{gates.SIGNS['passed']} {'; '.join(kept)}", *others] if kept else others
    return (("limits", "; ".join(parts)),) if parts else ()


def _limit(gate: GateResult) -> str:
    return f"{text.printable(gate.name)}, at most {gates.bound(gate.limit, gate.unit)}"


def _open_limit(gate: GateResult) -> str:
    limit = f"{gates.SIGNS.get(gate.result, '?')} {_limit(gate)}"
    if gate.measured is None:
        conditions = gates.conditions(gate)
        where = f" ({text.printable(conditions)})" if conditions else ""
        return f"{limit}{where}: not measured ({text.printable(gates.reason(gate))})"
    measured = gates.quantity(gate.measured, gate.unit)
    if gate.result != "inconclusive":
        return f"{limit}: {measured}"
    return f"{limit}: {measured}, not decided by the {gate.protocol.get('name') or 'this'} protocol"
