"""Parcels to a collector: native batches over HTTP, a bounded number at a time.

A batch counts as stored when the collector answered 200 with its counts, and in no other case. What
may pass (no connection, 408, 425, 429, 5xx) is tried again under the same batch id, with full
jitter, not before Retry-After; other answers end the import with what to do. Batches with changes
of users go one after the other, since their order can matter. Connections belong to threads;
otherwise everything here is called by one thread.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec
import pyarrow as pa

from zuji.engine.errors import InvalidInput, Overloaded
from zuji.server.errors import Forbidden, Unauthorized
from zuji.server.importer.backoff import pause, retry_after
from zuji.server.importer.shipping import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zuji.server.importer.parcels import Parcel

CONCURRENCY = 4
PATIENCE_S = 600.0
"""Without any success for so long, the import gives up."""
TIMEOUT_S = 60.0
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
MOST_RATIO = 50
"""Bodies that shrink more are sent as they are: the collector takes a ratio of 100 for a bomb."""
PATH = "/v1/events"
NOTHING = b"\x90"
"""A batch of no events: asks whether the key is good."""


class Refused(msgspec.Struct):
    """An event that the collector refused."""

    index: int
    reason: str = msgspec.field(name="code")
    message: str = ""


class Answered(msgspec.Struct):
    """What the collector says of a batch."""

    accepted: int
    duplicates: int
    rejected: list[Refused] = []


class Answer(NamedTuple):
    """An answer as it came."""

    status: int
    body: bytes
    retry_after: float | None
    location: str
    coding: str


class RemoteTarget:
    """A collector; see ``shipping.Target``. ``wait`` returns True when the import is to stop."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        concurrency: int = CONCURRENCY,
        patience_s: float = PATIENCE_S,
        timeout_s: float = TIMEOUT_S,
        stop: threading.Event | None = None,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._place = _parts(url)
        self.url = url.rstrip("/")
        self._key = key
        self._concurrency = concurrency
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._stop = stop or threading.Event()
        self._wait = wait or self._pause
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._local = threading.local()
        self._lock = threading.Lock()
        self._codings = [*_CODINGS]
        self._last_success = time.monotonic()
        self._tls = ssl.create_default_context() if self._place.scheme == "https" else None

    def check(self) -> None:
        """Asks whether address and key are good; stores nothing.

        :raises Unauthorized, Forbidden, InvalidInput: they are not. :raises Overloaded: no answer.
        """
        self._last_success = time.monotonic()
        self._send(NOTHING)

    def stored(self, parcels: Iterator[Parcel]) -> Iterator[tuple[Parcel, Answered | None]]:
        """See ``shipping.Target``."""
        flying: deque[tuple[Parcel, Future[Answered] | None]] = deque()
        ordered: Future[Answered] | None = None
        self._last_success = time.monotonic()
        self._ending.clear()
        self._failure = None
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="zuji-send") as pool:
            try:
                for parcel in parcels:
                    future: Future[Answered] | None = None
                    if parcel.batch:
                        if parcel.ordered and ordered is not None:
                            ordered.result()
                        future = pool.submit(self._deliver, parcel.batch)
                        if parcel.ordered:
                            ordered = future
                    flying.append((parcel, future))
                    while len(flying) >= 2 * self._concurrency or _is_done(flying):
                        yield _result(flying.popleft())
                while flying:
                    yield _result(flying.popleft())
            except Stopped:
                if self._failure is not None:  # of a later batch: it ended the waiting
                    raise self._failure from None
                raise
            finally:
                self._ending.set()  # nothing comes of requests that wait to be made again
                for _, future in flying:
                    if future is not None:
                        future.cancel()

    # -- one batch -----------------------------------------------------------------------------

    def _deliver(self, batch: bytes) -> Answered:
        """Sends a batch; when it never will be, others do not wait to be sent again either."""
        try:
            return self._send(batch)
        except Stopped:
            raise
        except BaseException as error:
            with self._lock:
                self._failure = self._failure or error
            self._ending.set()
            raise

    def _send(self, batch: bytes) -> Answered:
        attempt = 0
        while True:
            why = ""
            asked = None
            try:
                answer = self._exchange(batch)
            except (OSError, http.client.HTTPException) as error:
                self._disconnect()
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise InvalidInput(
                        f"{self.url}: its certificate is not good: {error.verify_message} "
                        "(a private authority: set SSL_CERT_FILE)"
                    ) from error
                why = str(error) or type(error).__name__
            else:
                found = self._understood(answer)
                if found is not None:
                    self._last_success = time.monotonic()
                    return found
                why, asked = f"it answers {answer.status}", answer.retry_after
            self._check_patience(why)
            if self._wait(pause(attempt, asked)):
                raise Stopped
            attempt += 1

    def _pause(self, seconds: float) -> bool:
        """Waits; True when nobody waits for the answer any more."""
        until = time.monotonic() + seconds
        while not (self._stop.is_set() or self._ending.is_set()):
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._ending.wait(min(left, 0.1))
        return True

    def _check_patience(self, why: str) -> None:
        silent = time.monotonic() - self._last_success
        if silent >= self._patience_s:
            raise Overloaded(
                f"{self.url} has taken nothing for {silent:.0f} s ({why}); what it acknowledged "
                "is noted: the same command goes on from there"
            )

    def _understood(self, answer: Answer) -> Answered | None:
        """What the collector says; None when it is to be asked again."""
        status = answer.status
        if status == 200:
            try:
                return msgspec.json.decode(answer.body, type=Answered)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InvalidInput(
                    f"{self.url} is no Zuji collector: its answer is not one ({error})"
                ) from error
        if status == 415 and answer.coding:
            with self._lock:
                self._codings = [one for one in self._codings if one != answer.coding]
            return None
        if status in PASSING:
            return None
        said = _said(answer)
        if status == 401:
            raise Unauthorized(f"{self.url} does not know this key ({said})")
        if status == 403:
            raise Forbidden(f"{self.url}: this key may not send events ({said})")
        if status == 413:
            raise InvalidInput(
                f"{self.url} takes no batch of this size ({said}): raise body_bytes there, or "
                "the limit of the proxy before it"
            )
        if 300 <= status < 400:
            raise InvalidInput(f"{self.url} leads on to {answer.location}: give that with --to")
        raise InvalidInput(f"{self.url}{PATH} answers {status}: {said}")

    def _exchange(self, batch: bytes) -> Answer:
        coding, body = self._encoded(batch)
        headers = {"Content-Type": "application/msgpack", "User-Agent": "zuji-import"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        if coding:
            headers["Content-Encoding"] = coding
        connection = self._connection()
        connection.request("POST", self._place.path.rstrip("/") + PATH, body, headers)
        response = connection.getresponse()
        found = response.read()
        if response.will_close:
            self._disconnect()
        return Answer(
            response.status,
            found,
            retry_after(response.getheader("Retry-After")),
            response.getheader("Location", "elsewhere"),
            coding,
        )

    def _encoded(self, batch: bytes) -> tuple[str, bytes]:
        coding = self._codings[0]
        body = _CODINGS[coding](batch)
        if len(batch) > MOST_RATIO * len(body):
            return "", batch
        return coding, body

    def _connection(self) -> http.client.HTTPConnection:
        held: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if held is None:
            host, port = self._place.hostname or "", self._place.port
            if self._tls is not None:
                held = http.client.HTTPSConnection(
                    host, port, timeout=self._timeout_s, context=self._tls
                )
            else:
                held = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
            self._local.connection = held
        return held

    def _disconnect(self) -> None:
        held: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if held is not None:
            held.close()
            self._local.connection = None


def _gzip(batch: bytes) -> bytes:
    packer = zlib.compressobj(4, wbits=31)
    return packer.compress(batch) + packer.flush()


def _zstd(batch: bytes) -> bytes:
    packed: bytes = pa.compress(batch, codec="zstd", asbytes=True)
    return packed


_CODINGS: dict[str, Callable[[bytes], bytes]] = {"zstd": _zstd, "gzip": _gzip, "": lambda b: b}
"""The best first; the next when the server (or a proxy) takes none of the one."""


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        bad = parts.scheme not in ("http", "https") or not parts.hostname or bool(parts.query)
        parts.port  # noqa: B018 - raises when it is no number
    except ValueError:
        bad = True
    if bad or parts.path.rstrip("/").endswith(("/sa", "/sa.gif", PATH)):
        raise InvalidInput(
            f"--to is the collector's address alone, like https://collect.example:8106, got {url!r}"
        )
    return parts


def _said(answer: Answer) -> str:
    """What an error says, as far as it is one of ours."""
    try:
        error = msgspec.json.decode(answer.body)["error"]
        return f"{error['code']}: {error['message']}"[:300]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return f"{len(answer.body)} bytes that are no answer of a collector"


def _is_done(flying: deque[tuple[Parcel, Future[Answered] | None]]) -> bool:
    if not flying:
        return False
    future = flying[0][1]
    return future is None or future.done()


def _result(
    one: tuple[Parcel, Future[Answered] | None],
) -> tuple[Parcel, Answered | None]:
    parcel, future = one
    return parcel, None if future is None else future.result()
