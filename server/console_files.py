"""The console's files on the API's listener: what ``make console`` built, from ``console/dist``.

Files are looked up before, so a path of a request is only ever a key of a table and never opens
anything else; they are looked up again when the build was made anew (``index.html`` or the folder
of assets changed). Those under ``assets/`` have a hash in their names and may be kept for ever;
``index.html`` may not, and answers for every address of the console that is no file. What is
compressed lies beside a file as ``.br`` or ``.gz``. The table is replaced as a whole, so
thread-safe; files are read again for each answer (they are in the page cache).
"""

from __future__ import annotations

import asyncio
import mimetypes
from email.utils import formatdate
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

INDEX = "/index.html"
FOREVER = "public, max-age=31536000, immutable"
ANEW = "no-cache"
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
"""The better first."""
_KINDS = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
    ".map": "application/json",
}
_TEXT = ("text/", "image/svg", "application/json", "application/manifest")
_MISSING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Zuji</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><h1>The console was not built</h1>
<p>This is a checkout without <code>server/console/dist</code>. Run <code>make console</code>, then
reload this page. The API works without it: <a href="/docs">/docs</a>.</p>
<h1 lang="zh">控制台尚未构建</h1>
<p lang="zh">请在源码目录运行 <code>make console</code>，然后刷新本页。</p></body></html>
"""


class _File(NamedTuple):
    path: Path
    kind: str
    etag: str
    modified: str
    keep: str
    encoded: tuple[tuple[str, Path], ...]


def dist() -> Path:
    """Where the build is, whether or not it was made."""
    return Path(str(files("zuji.server"))) / "console" / "dist"


class Console:
    """An ASGI application for every path that is not the API's. ``folder``: of the build."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = dist() if folder is None else folder
        self._state: object = None
        self._files: dict[str, _File] = {}
        self._look()

    def _look(self) -> None:
        """Looks up all files, if the build is another one than last time."""
        state = _state_of(self._folder)
        if state == self._state:
            return
        self._files = _table(self._folder)
        self._state = state  # after the table: a build that is being made is looked at again

    @property
    def built(self) -> bool:
        """Whether there is a console to show."""
        return INDEX in self._files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request.

        Raises:
            HTTPException: there is no such file, or the method is another.
        """
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        if path not in self._files or path == INDEX:
            await asyncio.to_thread(self._look)
        page = "text/html" in request.headers.get("accept", "") and not path.startswith("/v1")
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405 if path in self._files or path == "/" else 404)
        found = self._files.get(INDEX if path == "/" else path)
        if found is None and not page and path != "/":
            raise HTTPException(404)
        if found is None and path.startswith("/assets/"):
            raise HTTPException(404)  # of an older build: a page would be taken for a script
        found = found or self._files.get(INDEX)
        if found is None:
            return HTMLResponse(_MISSING, 503)
        try:
            return await _sent(found, request)
        except FileNotFoundError:  # the build is being made anew
            if page:
                return HTMLResponse(_MISSING, 503)
            raise HTTPException(404) from None


async def _sent(found: _File, request: Request) -> Response:
    path, encoding = found.path, ""
    accepted = _accepted(request.headers.get("accept-encoding", ""))
    for name, place in found.encoded:
        if name in accepted:
            path, encoding = place, name
            break
    etag = f'"{found.etag}{"-" + encoding if encoding else ""}"'
    headers = {"Cache-Control": found.keep, "ETag": etag, "Last-Modified": found.modified}
    if found.encoded:
        headers["Vary"] = "Accept-Encoding"
    known = request.headers.get("if-none-match", "")
    if etag in (one.strip().removeprefix("W/") for one in known.split(",")):
        return Response(status_code=304, headers=headers)
    if encoding:
        headers["Content-Encoding"] = encoding
    body = await asyncio.to_thread(path.read_bytes)
    return Response(body, headers=headers, media_type=found.kind)


def _state_of(folder: Path) -> object:
    """Changes with each build, and again when its files were compressed."""
    found: list[tuple[int, int, int] | None] = []
    for path in (folder / "index.html", folder / "assets"):
        try:
            state = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_mtime_ns, state.st_ino, state.st_size))
    return found


def _table(folder: Path) -> dict[str, _File]:
    """By the path of a request."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".br", ".gz") or not _inside(path, folder):
            continue
        try:
            if path.is_file():
                found["/" + path.relative_to(folder).as_posix()] = _file(path, folder)
        except FileNotFoundError:  # taken away meanwhile
            continue
    return found


def _file(path: Path, folder: Path) -> _File:
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    kind = kind or "application/octet-stream"
    if kind.startswith(_TEXT):
        kind += "; charset=utf-8"
    state = path.stat()
    hashed = path.relative_to(folder).parts[0] == "assets"
    encoded = tuple(
        (name, place)
        for name, suffix in ENCODINGS
        if (place := path.with_name(path.name + suffix)).is_file()
    )
    return _File(
        path,
        kind,
        f"{state.st_size:x}-{state.st_mtime_ns:x}",
        formatdate(state.st_mtime, usegmt=True),
        FOREVER if hashed else ANEW,
        encoded,
    )


def _inside(path: Path, folder: Path) -> bool:
    """Whether no link leads elsewhere."""
    return path.resolve().is_relative_to(folder.resolve())


def _accepted(header: str) -> set[str]:
    """Encodings that an ``Accept-Encoding`` takes."""
    found = set()
    for one in header.lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        weights = [part[2:].strip() for part in parameters if part.startswith("q=")]
        if name and not any(weight.strip("0.") == "" for weight in weights):
            found.add(name)
    return found
