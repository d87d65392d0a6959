"""One HTTP connection, kept alive. One thread uses it; `abort` may be called from another.

A request that fails on a connection that had been idle is sent again once on a new one: servers
close idle connections, and batches may be sent twice (their id makes the second a duplicate).
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
from typing import Callable, NamedTuple
from urllib.parse import urlsplit

_ANSWER_BYTES = 4 << 20  # 2,000 rejections of 1 KB and some; more is not an answer of a collector


class Reply(NamedTuple):
    """What came back."""

    status: int
    retry_after: str | None
    body: bytes


class Unwanted(Exception):
    """What was to be sent shall not be sent any more."""


class Transport:
    """POSTs batches to ``{url}/v1/events``. Raises OSError or HTTPException when there is no
    answer."""

    def __init__(
        self,
        url: str,
        key: str,
        user_agent: str,
        timeout: float,
        ssl_context: ssl.SSLContext | None,
        proxy: str | None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must be http://… or https://…, not {url!r}")
        if parts.query or parts.fragment or parts.username:
            raise ValueError("url has no query, fragment or user")
        if not key or not key.isascii() or any(letter <= " " for letter in key):
            raise ValueError("key must be ASCII text without spaces")
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._target = parts.path.rstrip("/") + "/v1/events"
        self._proxy = urlsplit(proxy) if proxy else None
        if self._proxy is not None:
            if self._proxy.scheme != "http" or not self._proxy.hostname:
                raise ValueError("proxy must be http://host:port")
            if not self._tls:
                self._target = f"http://{parts.netloc}{self._target}"
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/msgpack",
            "User-Agent": user_agent,
        }
        self._timeout = timeout
        self._context = ssl_context
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes, encoding: str | None, check: Callable[[], object]) -> Reply:
        """Send one body and wait for the answer. `check` is called as late as can be and raises
        Unwanted when the body shall not leave after all."""
        headers = dict(self._headers)
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        used_before = self._connection is not None
        try:
            return self._exchange(body, headers, check)
        except (ConnectionError, http.client.BadStatusLine):
            if not used_before:
                raise
            return self._exchange(body, headers, check)

    def _exchange(self, body: bytes, headers: dict[str, str], check: Callable[[], object]) -> Reply:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
        try:
            if connection.sock is None:
                connection.connect()
            check()
            connection.request("POST", self._target, body, headers)
            response = connection.getresponse()
            answer = response.read(_ANSWER_BYTES)
            if response.will_close or not response.isclosed():
                self.close()
            return Reply(response.status, response.getheader("Retry-After"), answer)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._host, self._port
        if self._proxy is not None:
            host, port = str(self._proxy.hostname), self._proxy.port or 8080
        connection: http.client.HTTPConnection
        if self._tls:
            context = self._context or ssl.create_default_context()
            self._context = context
            connection = http.client.HTTPSConnection(
                host, port, timeout=self._timeout, context=context
            )
            if self._proxy is not None:
                connection.set_tunnel(self._host, self._port)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        return connection

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """In a forked child: close its copy of the socket alone. The rest belongs to a thread that
        is not here, and may be locked by it for good (http.client reads through a buffer)."""
        connection, self._connection = self._connection, None
        sock = connection.sock if connection is not None else None
        if sock is not None:
            fd = sock.detach()
            if fd >= 0:
                os.close(fd)

    def abort(self) -> None:
        """Make a request that waits in another thread fail now."""
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
