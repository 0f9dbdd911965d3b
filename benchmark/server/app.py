"""The web application: what it answers and what it refuses."""

import base64
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path

from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmark.errors import BenchmarkError, root_cause, shown, suggestion
from benchmark.server.uploads import Bounds, RestoredUpload

Restore = Callable[[str, bytes, float, Bounds], RestoredUpload]
"""Name of the file, its bytes, strength, bounds."""

_HOSTS = ("127.0.0.1", "localhost")
_LOADED_ROWS = 8
"""Networks that stay in memory."""
_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class _RefusedError(Exception):
    """A request that is not answered; `status`: why, as HTTP says it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def make_app(rows: Mapping[str, Path], load_row: Callable[[Path], Restore], bounds: Bounds) -> Starlette:
    """Return the application.

    Args:
        rows: The rows that may be picked, by name.
        load_row: Returns what restores uploads with a row; called when the row is first picked.
        bounds: What an upload may be at most.
    """
    load = lru_cache(_LOADED_ROWS)(load_row)
    lock = threading.Lock()  # torch uses all cores for one image

    def restore(row: str, name: str, content: bytes, strength: float) -> RestoredUpload:
        with lock:
            return load(rows[row])(name, content, strength, bounds)

    async def answer(request: Request) -> Response:
        try:
            _check_origin(request)
            row, name, strength = _arguments(request, rows)
            content = await _body(request, bounds.bytes)
            restored = await run_in_threadpool(restore, row, name, content, strength)
        except _RefusedError as error:
            return _error(str(error), error.status)
        except BenchmarkError as error:
            return _error(str(error), 422)
        except Exception as error:  # of torch or a user's network, lack of memory included
            return _error(f"cannot be restored: {root_cause(error)}", 500)
        return JSONResponse(_as_data(restored), headers=_HEADERS)

    async def settings(_request: Request) -> Response:
        content = {"rows": list(rows), "bytes": bounds.bytes, "pixels": bounds.pixels}
        return JSONResponse(content, headers=_HEADERS)

    files = [Route(path, partial(_file, *file)) for path, file in _PAGE.items()]
    return Starlette(
        routes=[*files, Route("/settings", settings), Route("/restore", answer, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(_HOSTS), www_redirect=False)],
    )


async def _file(name: str, media_type: str, _request: Request) -> Response:
    content = resources.files("benchmark.server").joinpath(name).read_bytes()
    return Response(content, media_type=media_type, headers=_HEADERS)


def _check_origin(request: Request) -> None:
    """Raise _RefusedError where a page of another site asks: it must not use this machine."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{request.headers.get('host')}":
        raise _RefusedError(403, f"asked by a page of {shown(origin)}; only the page of this server may ask")


def _arguments(request: Request, rows: Mapping[str, Path]) -> tuple[str, str, float]:
    """Return row, name of the file and strength. Raises _RefusedError."""
    row = request.query_params.get("row", "")
    if row not in rows:
        raise _RefusedError(404, f"no row {shown(row)!r}; {suggestion(row, rows)}")
    try:
        strength = float(request.query_params.get("strength", "1"))
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 1:
        raise _RefusedError(400, "strength must be a number from 0 to 1")
    return row, Path(shown(request.query_params.get("name", "") or "upload")).name, strength


async def _body(request: Request, most: int) -> bytes:
    """Return what was uploaded. Raises _RefusedError as soon as it is more than allowed."""
    declared = request.headers.get("content-length", "0")
    parts: list[bytes] = []
    size = int(declared) if declared.isdecimal() else 0
    if size <= most:
        size = 0
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > most:
                break
    if size > most:
        raise _RefusedError(413, f"more than {most / 1e6:g} MB; `python -m benchmark restore` takes larger files")
    return b"".join(parts)


def _error(message: str, status: int) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers=_HEADERS)


def _as_data(restored: RestoredUpload) -> dict[str, object]:
    return {
        "file": _text(restored.content),
        "type": Image.MIME.get(restored.file_format, "application/octet-stream"),
        "size": restored.size,
        "before": _text(restored.before),
        "after": _text(restored.after),
        "maps": {name: _text(picture) for name, picture in restored.maps.items()},
        "seconds": restored.seconds,
        "notes": restored.notes,
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
