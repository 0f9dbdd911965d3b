"""A server of the page on a free port of 127.0.0.1, with a run of two rows."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from benchmark.files import write_json
from benchmark.model import build
from benchmark.model.weight_files import write_weights
from benchmark.server.rows import rows_in
from benchmark.server.uploads import Bounds, load_row

MODEL = {"backbone": {"name": "nafnet", "width": 4, "depths": [1, 1, 1]}, "head": {"name": "mask_blend"}}
BOUNDS = Bounds(bytes=60_000, pixels=40_000)
REASON = "not installed (pip install 'restoration-benchmark[serve]'): no page is served"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two trained rows."""
    folder = tmp_path_factory.mktemp("run")
    for seed, row in enumerate(("base", "heads.other")):
        write_weights(build(MODEL, seed), folder / row / "seed0/weights.safetensors")
        write_json(folder / row / "seed0/record.json", {"status": "done", "config": {"model": MODEL}})
    return folder


@pytest.fixture(scope="session")
def port(run: Path) -> Iterator[int]:
    """The port of a server of the run; skipped where the extra is missing."""
    pytest.importorskip("starlette", reason=f"starlette {REASON}")
    uvicorn = pytest.importorskip("uvicorn", reason=f"uvicorn {REASON}")
    from benchmark.server.app import make_app

    app = make_app(rows_in((run,)), partial(load_row, plugins=(), device="cpu"), BOUNDS)
    with listening(uvicorn.Server(uvicorn.Config(app, log_level="warning"))) as port:
        yield port


@contextmanager
def listening(server) -> Iterator[int]:
    """Let a server listen on a free port, which is yielded, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
