"""The page of `serve` as a program meets it: real HTTP on 127.0.0.1, a real network, real image files."""

import base64
import io
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import RecordError
from benchmark.files import write_json
from benchmark.inference.network import load
from benchmark.server.rows import rows_in


def photo(size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    """A JPEG with EXIF data."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    exif = Image.Exif()
    exif[271] = "a camera"
    content = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(content, "JPEG", quality=95, exif=exif, **options)
    return content.getvalue()


def ask(port: int, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET" if body is None else "POST", path, body, headers)
    response = connection.getresponse()
    answer = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return answer


def refusal(port: int, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    status, _, content = ask(port, path, body, **headers)
    return status, json.loads(content)["error"]


def test_the_result_is_what_the_network_restores_with_what_the_file_had(port: int, run: Path) -> None:
    """Same format, same EXIF data; before and after are the pixels of the network; maps and the time come along."""
    status, headers, content = ask(port, "/restore?row=heads.other&name=a%20photo.jpg", photo())
    assert status == 200 and headers["cache-control"] == "no-store"
    answer = json.loads(content)
    restored = Image.open(io.BytesIO(base64.b64decode(answer["file"])))
    assert (answer["type"], restored.format, restored.getexif()[271]) == ("image/jpeg", "JPEG", "a camera")
    before, after = (np.asarray(Image.open(io.BytesIO(base64.b64decode(answer[key])))) for key in ("before", "after"))
    assert np.array_equal(before, np.asarray(Image.open(io.BytesIO(photo()))))
    assert np.abs(load(run / "heads.other", "cpu").restore(before).astype(int) - after).max() <= 1
    assert set(answer["maps"]) == {"mask", "proposal"} and answer["seconds"] > 0 and answer["size"] == [40, 60]


def test_strength_0_gives_the_image_as_it_is(port: int) -> None:
    """And a strength beyond 1 is refused."""
    answer = json.loads(ask(port, "/restore?row=base&strength=0", photo())[2])
    assert answer["before"] == answer["after"]
    assert refusal(port, "/restore?row=base&strength=2", photo()) == (400, "strength must be a number from 0 to 1")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/restore?row=bose", b"", 404, "no row 'bose'; did you mean 'base'?"),
        ("/restore?row=base", b"no image", 422, "not a readable image (of no known format)"),
        ("/restore?row=base", b"", 422, "the file is empty"),
        ("/restore?row=base", bytes(60_001), 413, "more than 0.06 MB"),
        ("/restore?row=base", photo((401, 100)), 422, "0.0 million pixels; up to 0.04 million"),
        ("/restore?row=base&name=../../x.jpg", photo()[:900], 422, "x.jpg: not a readable image"),
    ],
)
def test_what_is_refused_says_why(port: int, path: str, body: bytes, status: int, message: str) -> None:
    """Unknown rows, no images, too many bytes, too many pixels, cut files: one line each, and the server goes on."""
    actual, error = refusal(port, path, body)
    assert actual == status and message in error and "\n" not in error and "../" not in error
    assert ask(port, "/settings")[0] == 200


def test_an_upload_without_a_length_is_bounded_too(port: int) -> None:
    """Bytes are counted as they come, not as they are announced."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/restore?row=base", iter([bytes(40_000), bytes(40_000)]), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_only_the_page_of_this_server_may_ask(port: int) -> None:
    """A page of another site, and another name for this machine, get nothing."""
    status, error = refusal(port, "/restore?row=base", photo(), Origin="https://example.org")
    assert status == 403 and "example.org" in error
    assert ask(port, "/restore?row=base", photo(), Origin=f"http://127.0.0.1:{port}")[0] == 200
    assert ask(port, "/settings", Host="rebound.example.org")[0] == 400


def test_nothing_is_kept(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the current folder nor in that of temporary files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ask(port, "/restore?row=base", photo())[0] == 200
    assert list(tmp_path.iterdir()) == []


def test_the_page_loads_nothing_from_elsewhere(port: int) -> None:
    """Its policy forbids it, and its three files are all it needs."""
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        status, headers, content = ask(port, path)
        assert status == 200 and headers["content-type"].startswith(kind) and b"http" not in content
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")


def test_rows_of_runs_of_rows_and_of_files(run: Path, tmp_path: Path) -> None:
    """A run gives all its finished rows, a row itself; a folder without a trained row is refused."""
    assert list(rows_in((run,))) == ["base", "heads.other"]
    assert list(rows_in((run / "base",))) == [str(run / "base")]
    other = tmp_path / "other"
    write_json(other / "base/seed0/record.json", {"status": "failed"})
    with pytest.raises(RecordError, match="no finished row"):
        rows_in((other,))
    with pytest.raises(RecordError, match="no record of a trained row"):
        rows_in((tmp_path,))
