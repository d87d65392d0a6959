"""HTTP/1.1 on asyncio and httptools: bytes of a connection to requests, answers to bytes.

A plain request that comes whole is taken apart at once (:mod:`._scan`); all others go through
llhttp, callback by callback. One request of a connection is handled at a time; pipelined ones wait,
and when some do, reading stops until they are answered, so that a connection never holds more than
one body and one read.
:class:`Watch` looks at all connections once a second: slow, idle and too many ones are closed.
Used on the loop's thread only.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import httptools

from zuji.server.collector._scan import scan
from zuji.server.collector.guard import Head, Refused, body_limit
from zuji.server.collector.message import Answer, Request, encoded, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from zuji.server.settings import Settings

    Handle = Callable[[Request, "Connection"], Answer | None]
    """Answers a request, or gives None and calls :meth:`Connection.answer` later."""
    Quickly = Callable[[bytes, "Connection"], bool]
    """Takes the bytes of a read when they are one request that needs no look at its header, and
    calls :meth:`Connection.answer` later; else says False.
    """
    Early = Callable[[str, bytes, Mapping[bytes, bytes], str], Answer | None]
    """The answer to a request (method, target, header, address) whose body need not be read."""

GRACE_S = 5.0
"""A body may be slow for so long before its rate counts."""
SHARE_BYTES = 16 * 1024
"""Taken apart at once of what one read of a connection brings, but for bodies."""
LATER_BYTES = 4 * 1024
"""The same of the rest, each time that it is the connection's turn."""
TURNS = 2
"""Connections that have their turn between two looks at what is new."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TAKEN_QUICKLY = (Request("GET", "", b"", {}, b"", "", 0), True)


class Watch:
    """All connections of a listener and their limits."""

    def __init__(self, settings: Settings, handle: Handle, quickly: Quickly | None = None) -> None:
        self.settings = settings
        self.handle = handle
        self.quickly = quickly
        self.wary: Container[str] = ()  # addresses whose requests are looked at one by one
        self.early: Early | None = None
        self.plain = (  # limits of what the quick reader takes
            settings.uri_bytes,
            settings.header_fields,
            settings.header_bytes,
            body_limit(settings),
        )
        self.open: set[Connection] = set()
        self.closing = False
        self.refused: Counter[str] = Counter()
        self.most_header = settings.header_bytes + settings.uri_gif + 2 * SHARE_BYTES
        self._addresses: Counter[str] = Counter()
        self._lane: deque[Callable[[], None]] = deque()
        self._turning = False  # at the loop's next turn

    @property
    def crowded(self) -> bool:
        """Whether connections wait for their turn."""
        return self._turning

    def later(self, call: Callable[[], None]) -> None:
        """Calls it when those that wait already have had their turn: between two looks at what is
        new come :data:`TURNS`, so that many greedy clients hold up others no more than one does.
        """
        self._lane.append(call)
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turning = bool(self._lane)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)
        for _ in range(min(TURNS, len(self._lane))):
            self._lane.popleft()()

    def protocol(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self)

    def admit(self, connection: Connection, address: str) -> bool:
        """Whether a new connection is within the limits."""
        settings = self.settings
        if self.closing or len(self.open) >= settings.connections:
            self.refused["connections"] += 1
            return False
        if self._addresses[address] >= settings.address_connections:
            self.refused["address_connections"] += 1
            return False
        self.open.add(connection)
        self._addresses[address] += 1
        return True

    def leave(self, connection: Connection, address: str) -> None:
        """A connection has ended."""
        if connection in self.open:
            self.open.discard(connection)
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    async def sweep(self) -> None:
        """Closes what is too slow, once a second, for ever."""
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            for connection in tuple(self.open):
                reason = connection.overdue(now)
                if reason is not None:
                    self.refused[reason] += 1
                    connection.expire(reason)

    async def drain(self, seconds: float) -> None:
        """Ends idle connections, and the others after their answers; waits at most so long."""
        self.closing = True
        until = time.monotonic() + seconds
        for connection in tuple(self.open):
            connection.finish()
        while self.open and time.monotonic() < until:
            await asyncio.sleep(0.02)
        for connection in tuple(self.open):
            connection.abort()


class Connection(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_busy",
        "_ended",
        "_full",
        "_head",
        "_head_read",
        "_last",
        "_leaving",
        "_left",
        "_parser",
        "_paused",
        "_peer",
        "_phase",
        "_scheduled",
        "_since",
        "_transport",
        "_waiting",
        "_watch",
    )

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._transport: Any = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._peer = ""
        self._head = Head(watch.settings)
        self._head_read = 0  # bytes of the header at hand
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy: tuple[Request, bool] | None = None  # being answered; whether to keep open
        self._phase = "idle"
        self._since = time.monotonic()
        self._ended = False  # nothing more is read
        self._leaving = False  # a request said that it is the last
        self._paused = False
        self._full = False  # the client does not read its answers
        self._left = b""  # came, and is not read yet
        self._scheduled = False  # it will be, at the loop's next turn
        self._last: Answer | None = None  # sent when what waits is answered

    # -- called by the loop --------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """A client connected."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else "local"
        if not self._watch.admit(self, self._peer):
            transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone; what it sent is stored all the same."""
        self._ended = True
        self._left = b""
        self._waiting.clear()
        self._parser = None  # it holds the connection
        self._watch.leave(self, self._peer)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        quickly = self._watch.quickly
        if (
            quickly is not None
            and self._busy is None
            and self._phase == "idle"
            and not (self._left or self._waiting or self._leaving or self._full or self._ended)
            and self._peer not in self._watch.wary
            and quickly(data, self)
        ):
            self._busy = _TAKEN_QUICKLY
            return
        self._left = self._left + data if self._left else data
        if len(self._left) > SHARE_BYTES and self._watch.crowded and not self._body_left():
            self._pause()
            self._go_on()
        else:
            self._read_on(SHARE_BYTES)

    def _read_on(self, most: int = LATER_BYTES) -> None:
        """Reads a share of what came; the rest at later turns of the loop, when what was read is
        answered: thousands of small requests at once must not hold up other clients.
        """
        self._scheduled = False
        while self._left and not self._ended:
            if self._busy is not None or self._waiting or self._full:
                self._pause()
                return  # until _next
            size = max(most, self._body_left())
            share, self._left = self._left[:size], self._left[size:]
            self._read(share)
            if self._left and not self._body_left():
                self._pause()
                self._go_on()
                return
        if self._busy is None and not self._waiting:
            self._go_on()

    def _body_left(self) -> int:
        """Bytes that the announced body at hand still lacks; 0 for one in chunks."""
        length = self._head.fields.get(b"content-length") if self._phase == "body" else None
        return 0 if length is None else int(length) - self._body_bytes

    def _go_on(self) -> None:
        """Reads what is left at the next turn, or from the client when nothing is."""
        if self._left:
            if not self._scheduled:
                self._scheduled = True
                self._watch.later(self._read_on)
        elif self._paused and not self._full and not self._ended:
            self._paused = False
            self._transport.resume_reading()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _read(self, data: bytes) -> None:
        if self._ended:
            return
        if self._phase == "idle":
            if not self._leaving:
                at = self._scan(data)
                if at == len(data) or self._ended:
                    return
                data = data[at:] if at else data
            self._enter("header")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._ended = True  # answered in HTTP/1.1, and then closed: what follows is not HTTP
        except httptools.HttpParserError as error:
            cause = error.__cause__ or error.__context__
            if cause is not None:
                cause.__traceback__ = None  # the parser keeps it, and its frames the parser
            if isinstance(cause, Refused):
                self._refuse(cause.answer)
            else:
                self._refuse(problem(400, "bad_request", "this is not HTTP/1.1", close=True))
        except Refused as refused:
            self._refuse(refused.answer)
        if self._phase == "header" and not self._ended:
            self._head_read += len(data)
            if self._head_read > self._watch.most_header:  # a field that has no end
                text = "too many header fields, or too long ones"
                self._refuse(problem(431, "header_too_large", text, close=True))

    def pause_writing(self) -> None:
        """Answers pile up: nothing more is read or handled until the client reads them."""
        self._full = True
        self._since = time.monotonic()
        self._pause()

    def resume_writing(self) -> None:
        """The client has read."""
        self._full = False
        if self._busy is None:
            self._next()

    def eof_received(self) -> bool:
        """The client sends no more; answers are still sent when some are due."""
        self._ended = True
        return self._busy is not None

    def _scan(self, data: bytes) -> int:
        """Takes the plain requests that the bytes begin with; where the rest begins.

        REQUIRES: the parser is between two requests.
        """
        at, end, limits = 0, len(data), self._watch.plain
        now = time.time_ns() // 1_000_000
        while at < end and not self._ended:
            found = scan(data, at, *limits)
            if found is None:
                break
            method, path, query, headers, body, at = found
            request = Request(method, path, query, headers, body, self._peer, now)
            self._arrived(request, keep=True)
        return at

    # -- called by the parser ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head = Head(self._watch.settings)
        self._body, self._body_bytes = [], 0
        self._head_read = 0
        self._enter("header")

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        self._head.url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field."""
        self._head.field(name, value)

    def on_headers_complete(self) -> None:
        """The header is whole."""
        parser = self._parser
        method = parser.get_method().decode("latin-1")
        self._head.check(method, parser.get_http_version())
        self._enter("body")
        if self._peer in self._watch.wary and self._watch.early is not None:
            self._look_early(self._watch.early, method)
        if b"expect" in self._head.fields and self._busy is None:
            self._transport.write(_CONTINUE)

    def _look_early(self, early: Early, method: str) -> None:
        """Refuses a request whose body is long, if it would be refused when it was read."""
        head = self._head
        if int(head.fields.get(b"content-length", b"0")) > SHARE_BYTES:
            answer = early(method, head.target, head.fields, self._peer)
            if answer is not None:
                raise Refused.by(answer)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self._head.body_limit():
            raise Refused(413, "body_too_large", "the body is too large: send smaller batches")
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        parser, head = self._parser, self._head
        path, _, query = head.target.partition(b"?")
        request = Request(
            method=parser.get_method().decode("latin-1"),
            path=unquote_to_bytes(path).decode("latin-1"),
            query=query.partition(b"#")[0],
            headers=head.fields,
            body=b"".join(self._body),
            peer=self._peer,
            received_ms=time.time_ns() // 1_000_000,
        )
        self._body = []
        self._enter("idle")
        keep = parser.should_keep_alive() and not parser.should_upgrade()
        self._leaving = not keep
        self._arrived(request, keep=keep)

    def _arrived(self, request: Request, *, keep: bool) -> None:
        self._waiting.append((request, keep))
        if self._busy is None:
            self._next()
        else:
            self._pause()

    # -- answers -------------------------------------------------------------------------------

    def answer(self, answer: Answer) -> None:
        """Answers the request at hand; called on the loop's thread, once a request."""
        assert self._busy is not None
        self._write(answer)
        self._next()

    def _write(self, answer: Answer) -> None:
        assert self._busy is not None
        request, keep = self._busy
        self._busy = None
        keep = keep and not answer.close and not self._watch.closing and self._last is None
        if self._transport.is_closing():
            self._ended = True
            return
        self._transport.write(encoded(answer, keep=keep, head_only=request.method == "HEAD"))
        if not keep:
            self._close()

    def _next(self) -> None:
        """Handles what waits, until an answer comes later."""
        while self._waiting and not self._full and not self._transport.is_closing():
            self._busy = self._waiting.popleft()
            now = self._watch.handle(self._busy[0], self)
            if now is None:
                return
            self._write(now)
        if self._waiting or self._transport.is_closing():
            return
        if self._last is not None:
            self._transport.write(encoded(self._last, keep=False))
            self._close()
        elif self._ended:
            self._close()
        else:
            self._since = time.monotonic()
            self._go_on()

    def _refuse(self, answer: Answer) -> None:
        """No further request is read; the answer comes after those of the requests before."""
        self._ended = True
        self._last = answer
        self._watch.refused[f"http_{answer.status}"] += 1
        if self._busy is None:
            self._next()

    # -- the end -------------------------------------------------------------------------------

    def overdue(self, now: float) -> str | None:
        """Why this connection is closed now, if it is."""
        settings, waited = self._watch.settings, now - self._since
        if self._full or self._transport.is_closing():
            return "unread" if waited > settings.idle_seconds else None
        if self._busy is not None:
            return None
        if self._phase == "header":
            return "slow_header" if waited > settings.header_seconds else None
        if self._phase == "body":
            slow = waited > GRACE_S and self._body_bytes < settings.body_rate * waited
            return "slow_body" if slow else None
        return "idle" if waited > settings.idle_seconds else None

    def expire(self, reason: str) -> None:
        """Ends a connection that is overdue."""
        if reason == "unread":  # waiting for the client to read would be for ever
            self.abort()
            return
        if reason != "idle" and not self._transport.is_closing():
            late = problem(408, "too_slow", "the request took too long", close=True)
            self._transport.write(encoded(late, keep=False))
        self._close()

    def finish(self) -> None:
        """The server stops: ends now, or after the answer at hand."""
        if self._busy is None and self._phase == "idle":
            self._close()

    def abort(self) -> None:
        """Ends now."""
        self._ended = True
        self._transport.abort()

    def _close(self) -> None:
        self._ended = True
        self._since = time.monotonic()
        self._transport.close()

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._since = time.monotonic()
