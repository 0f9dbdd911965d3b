"""What `doctor` says of one thing."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail", "absent"]


@dataclass(frozen=True)
class Finding:
    """`warn`: works, but not as well as it could; `absent`: something optional that is not there.

    `mend`: the command line that mends it, or what to do, wherever something can be mended.
    """

    name: str
    verdict: Verdict
    found: str
    mend: str = ""
