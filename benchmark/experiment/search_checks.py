"""What a section `search` cannot ask for: objectives, pruners and samplers that do not go together."""

import math

from benchmark.errors import ExperimentError
from benchmark.experiment.document import Document
from benchmark.experiment.resolve import Recipe
from benchmark.experiment.schema import LatencyGate
from benchmark.experiment.search_settings import MOST_TRIALS, OptunaHub, SearchSettings
from benchmark.experiment.search_space import Search
from reports.metrics import COSTS

_BLIND_TO_GATES = ("gp", "cmaes", "nsgaii")
"""Samplers that learn from scores, but see no trial without one."""
_FEWEST_NUMBERS = 2


def check_search(document: Document, section: SearchSettings, search: Search, base: Recipe) -> None:
    """Check that the settings of a search go together, and with the gates of the base row.

    Raises:
        ExperimentError: They do not; with the reason, and what to do.
    """
    mistake = _mistake(section, search, base)
    if mistake is None and (reason := _unsuitable(search, has_gates=bool(base.gates))):
        mistake = "sampler", f"{search.sampler.name} {reason}"
    if mistake:
        key, message = mistake
        raise ExperimentError(f"{document.place(('search', key))}: search.{key}: {message}")


def _mistake(section: SearchSettings, search: Search, base: Recipe) -> tuple[str, str] | None:
    """Return the setting of objectives, pruner or confirm that cannot be, and what to do; None where all can."""
    names, pruner = [objective.name for objective in search.objectives], search.pruner.name
    if names and section.metric:
        return "objectives", "and search.metric exclude each other; drop one of them"
    if len(set(names)) < len(names):
        return "objectives", "one is given twice"
    if names and not set(names) - COSTS.keys():
        return "objectives", "are costs alone: the smallest network would be best untrained; add a metric, e.g. psnr"
    if "latency_ms" in names and not any(isinstance(gate, LatencyGate) for gate in base.gates.values()):
        return "objectives", (
            "latency_ms is that of a gate; add gates, e.g. {latency: {limit_ms: 1000, image: [256, 256]}}"
        )
    if names and pruner != "none":
        return "pruner", f"{pruner} compares one value, and there are several objectives; choose none"
    if search.metric.direction == "near 1" and pruner != "none":
        return "pruner", f"{pruner} does not suit {search.metric.name}, which is best at 1; choose none"
    if names and search.confirm:
        return "confirm", (
            "names one winner, and with several objectives there is none; drop it, or search one metric under a gate"
        )
    return None


def _unsuitable(search: Search, *, has_gates: bool) -> str | None:
    """Return why the sampler does not suit the space or the gates, and what to do; None where it does."""
    name = search.sampler.name
    if isinstance(search.sampler, OptunaHub):
        return _unsuitable_of_hub(search.sampler, search, has_gates=has_gates)
    if name in _BLIND_TO_GATES and has_gates and search.varies_network:
        return (
            "ignores gates: it learns from finished trials alone, and a trial that fails a gate is not trained; choose "
            "tpe, which learns from failed gates, or random, qmc or grid, which learn from nothing; or search below "
            "protocol only, or remove the gates"
        )
    if name == "cmaes" and search.objectives:
        return "knows one objective; choose tpe, nsgaii or gp"
    if name == "cmaes" and len(search.numbers) < _FEWEST_NUMBERS:
        return f"needs {_FEWEST_NUMBERS} parameters that are ranges; give ranges in place of choices, or choose tpe"
    if name == "grid":
        endless = next((parameter.path for parameter in search.parameters if math.isinf(parameter.count)), None)
        if endless:
            return f"has no values for {endless}, a range without steps; give it step or choices, or choose qmc"
        if search.size > MOST_TRIALS:
            return (
                f"has {search.size:,.0f} settings, more than {MOST_TRIALS:,} trials; give fewer choices, or choose qmc"
            )
    return None


def _unsuitable_of_hub(sampler: OptunaHub, search: Search, *, has_gates: bool) -> str | None:
    """Return what a package must take into account here and the file does not list; None where nothing is missing."""
    if has_gates and search.varies_network and "gates" not in sampler.heeds:
        return (
            f"{sampler.package} may ignore gates, and a trial that fails a gate is not trained; if it learns from "
            "constraints, add heeds: [gates]; else choose tpe, search below protocol only, or remove the gates"
        )
    if search.objectives and "objectives" not in sampler.heeds:
        return (
            f"{sampler.package} may know one objective only; if it knows several, add heeds: [objectives]; else "
            "choose tpe or nsgaii"
        )
    return None
