"""Check the claims of an experiment file against the rows, tables and gates that it has.

A claim asks nothing to be trained and changes no result, so it is part of no key. Its forms are in `reports.schema`:
plan.json holds the claims as they are written here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.document import Document, KeyPath
from benchmark.experiment.schema import Report
from reports.schema import AnyClaim, BetterClaim, EquivalentClaim, FrontClaim, WithinClaim


def check_claims(
    document: Document, claims: Sequence[AnyClaim], rows: Mapping[str, Mapping[str, Any]], report: Report
) -> None:
    """Check that every claim is about what the experiment has.

    Args:
        document: The experiment file, for the places in messages.
        claims: The claims in the order of the file.
        rows: Resolved configuration by row, baselines included.
        report: The settings that fill in what a claim leaves open.

    Raises:
        ExperimentError: A claim names a row, table, gate or cost that the experiment lacks, lacks a margin, or
            compares a row with itself; or two claims have one id.
    """
    for index, claim in enumerate(claims):
        check = _Check(document, ("claims", index), rows)
        if claim.id in [earlier.id for earlier in claims[:index]]:
            check.fail(("id",), f"two claims have the id {claim.id!r}")
        match claim:
            case BetterClaim():
                check.rows({("better",): [claim.better], ("worse",): claim.rivals})
                check.is_distinct(("worse",), claim.better, claim.rivals)
            case EquivalentClaim():
                row, other = claim.equivalent
                check.rows({("equivalent",): (row, other)})
                check.is_distinct(("equivalent",), row, [other])
                check.margin(claim, report)
            case WithinClaim(within=within):
                check.rows({("within", "row"): [within.row]})
                check.check_name(("within", "gate"), "gate", within.gate, rows[within.row].get("gates", {}))
            case FrontClaim(front=front):
                check.rows({("front", "row"): [front.row]})
                tables = {row.partition(".")[0] for row in rows if "." in row}
                check.check_name(("front", "among"), "table", front.among, tables)
                gates = rows[front.row].get("gates", {})
                costs = ["macs", *(name for name, gate in gates.items() if gate["quantity"] == "latency")]
                check.check_name(("front", "cost"), "cost", front.cost, costs)


@dataclass(frozen=True)
class _Check:
    """Checks of one claim; each raises ExperimentError with the place of the mistake."""

    document: Document
    path: KeyPath
    configs: Mapping[str, Mapping[str, Any]]

    def rows(self, named: Mapping[KeyPath, Collection[str]]) -> None:
        for at, rows in named.items():
            for row in rows:
                self.check_name(at, "row", row, self.configs)

    def check_name(self, at: KeyPath, kind: str, name: str, names: Collection[str]) -> None:
        if name not in names:
            self.fail(at, f"no {kind} {name!r} in this experiment; {suggestion(name, names)}")

    def is_distinct(self, at: KeyPath, row: str, others: Collection[str]) -> None:
        if row in others:
            self.fail(at, f"{row} is compared with itself")

    def margin(self, claim: EquivalentClaim, report: Report) -> None:
        is_of_primary = claim.metric in (None, report.primary)
        if claim.equivalence_margin is None and not (is_of_primary and report.equivalence_margin):
            default = f"report.equivalence_margin is of {report.primary}, at {report.equivalence_margin:g}"
            self.fail((), f"give an equivalence_margin: {default}")

    def fail(self, at: KeyPath, message: str) -> None:
        path: KeyPath = (*self.path, *at)
        raise ExperimentError(f"{self.document.place(path)}: {'.'.join(map(str, path))}: {message}")
