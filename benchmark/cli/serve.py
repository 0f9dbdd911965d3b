"""`serve`: a page on this machine that restores photos with trained rows."""

import socket
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from benchmark.cli.options import NumberRange, plugin_option
from benchmark.errors import BenchmarkError, counted, missing_packages

_HOST = "127.0.0.1"


@click.command("serve")
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=8017, show_default=True, help="0: any free one.")
@click.option("--most-mb", type=NumberRange(0, min_open=True), default=50, show_default=True, help="Of an upload.")
@click.option(
    "--most-megapixels", type=NumberRange(0, min_open=True), default=24, show_default=True, help="Of an upload."
)
@click.option("--device", metavar="NAME", help="cpu, cuda, cuda:N or mps.  [default: CUDA, else MPS, else the CPU]")
@plugin_option
def command(
    records: tuple[Path, ...],
    port: int,
    most_mb: float,
    most_megapixels: float,
    device: str | None,
    plugins: tuple[Path, ...],
) -> int:
    """Serve a page on 127.0.0.1 where a photo is dropped and restored by rows of RECORDS.

    RECORDS are folders of runs (all finished rows), of rows, or safetensors files of `export`. The page shows before
    and after with a slider, the maps of the head and the time, and offers the result for download, in the format and
    with the metadata of the photo. Nothing is kept, nothing leaves this machine. Ctrl-C ends it.

    \b
    Examples:
      python -m benchmark serve runs/quickstart
      python -m benchmark serve runs/quickstart/base retouch.safetensors --port 0
    """
    if missing := missing_packages(("starlette", "uvicorn"), "serve"):
        raise BenchmarkError(f"serve: {missing}")
    import uvicorn

    from benchmark.server.app import make_app
    from benchmark.server.rows import rows_in
    from benchmark.server.uploads import Bounds, load_row

    rows = rows_in(records)
    bounds = Bounds(round(most_mb * 1e6), round(most_megapixels * 1e6))
    app = make_app(rows, partial(load_row, plugins=plugins, device=device), bounds)
    try:
        listener = socket.create_server((_HOST, port))
    except OSError as error:
        raise BenchmarkError(f"--port {port}: {error.strerror}; choose another one, 0 takes any that is free") from None
    with listener, suppress(KeyboardInterrupt):
        address = f"http://{_HOST}:{listener.getsockname()[1]}/"
        click.echo(f"{address} ({counted(len(rows), 'row')}); Ctrl-C ends it")
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
    return 0
