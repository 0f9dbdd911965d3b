"""What can go wrong that the user can mend.

    BenchmarkError              the command line prints it as one line and exits with 2
    ├── ExperimentError         the experiment file (or an override) says something that cannot be meant
    ├── ComponentError          no such component or option, or a component that breaks its contract
    ├── DataError               a folder, an image or a pair of images is missing or unreadable
    ├── RecordError             what lies in a run folder does not belong to what is asked
    ├── CheckpointError         a file of weights is unreadable, or fits another network
    ├── RuntimeUnavailable      a runtime is not installed, or cannot run this network on this device
    ├── ProcessError            a process that was started died before it had its result
    └── RowError                one row failed; it is recorded and the other rows go on

Each message says what was read, where, what is allowed and what to do.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final


class BenchmarkError(Exception):
    """Root of all errors the user can mend."""


class ExperimentError(BenchmarkError):
    """The experiment file, or an override of it, says something that cannot be meant."""


class ComponentError(BenchmarkError):
    """No such component or option, or a component that breaks its contract."""


class DataError(BenchmarkError):
    """A folder, an image or a pair of images is missing or unreadable."""


class RecordError(BenchmarkError):
    """What lies in a run folder does not belong to what is asked."""


class CheckpointError(BenchmarkError):
    """A file of weights is unreadable, or fits another network."""


class RuntimeUnavailable(BenchmarkError):  # noqa: N818  # what is wrong is not a mistake: something is not there
    """A runtime is not installed, or cannot run this network on this device."""


class ProcessError(BenchmarkError):
    """A process that was started died before it had its result."""


class RowError(BenchmarkError):
    """One row failed; it is recorded and the other rows go on."""


RENAMED_KEYS: Final[Mapping[str, str]] = {
    "carry": "output",
    "frozen_norm": "freeze_bn_fraction",
    "maps": "map_l1",
    "margin": "equivalence_margin",
    "region": "mask_bce_dice",
}
"""Old names of settings and components -> the present ones. An old name is an error that says the present one."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown word: its present name, the nearest known word, or all of them."""
    names = sorted(known)
    if (present := RENAMED_KEYS.get(word)) in names:
        return f"it is called {present!r} now"
    near = get_close_matches(word, names, n=1, cutoff=0.5)  # 0.5: `l2` is near `l1`
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
