"""Networks that are bad on purpose, as components of a user's own file: fresh processes can build them, too."""

from pathlib import Path

import pytest

PLUGIN = '''
"""A convolution that waits."""
import time

from torch import Tensor, nn

from backbones import Backbone


class Waiting(Backbone):
    citation = ""
    origin = "test"
    out_channels = 8

    def __init__(self, milliseconds: float = 0.0, every: int = 1, only_first: bool = False) -> None:
        super().__init__()
        self.milliseconds, self.every, self.only_first, self.calls = milliseconds, every, only_first, 0
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 1 if self.only_first else self.calls % self.every == 0:
            time.sleep(self.milliseconds / 1000)
        return self.conv(image)
'''


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """The file of backbone `waiting`: one convolution; sleeps on every so-manieth call, or on the first alone."""
    file = tmp_path / "waiting.py"
    file.write_text(PLUGIN)
    return file
