"""What a request's header must be, beyond what the parser asks: the framing that two servers behind
each other could read in two ways is refused.

llhttp (httptools) is strict about line ends, names and chunk sizes; it takes HTTP/0.9 with headers,
two Hosts, any number of fields, and a body announced twice. Those are refused here. Rules follow
RFC 9112 §3.2, §6.1 and §6.3. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.server.collector.message import Answer, problem

if TYPE_CHECKING:
    from zuji.server.settings import Settings

METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
_ONCE = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-encoding",
        b"content-type",
        b"authorization",
        b"expect",
    }
)
_MIXPANEL = (b"/track", b"/engage", b"/groups", b"/import")
_LONG_TARGETS = frozenset({b"/sa.gif", b"/i", b"/sa", *_MIXPANEL, *(b"%b/" % p for p in _MIXPANEL)})
"""Paths whose target may bring events."""


def body_limit(settings: Settings) -> int:
    """Bytes that a body may have before anybody knows whose it is."""
    return max(settings.body_bytes, settings.bulk_body_bytes)


class Refused(Exception):
    """A request that is not answered but with ``answer``; its connection is closed."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer: Answer = problem(status, code, message, close=True)

    @classmethod
    def by(cls, answer: Answer) -> Refused:
        """One whose answer is made already."""
        refused = cls(answer.status, "", "")
        refused.answer = answer
        return refused


class Head:
    """The header of one request while it is parsed."""

    __slots__ = ("_bytes", "_limits", "fields", "names", "target")

    def __init__(self, limits: Settings) -> None:
        self._limits = limits
        self._bytes = 0
        self.target = b""
        self.fields: dict[bytes, bytes] = {}
        self.names = 0

    def url(self, part: bytes) -> None:
        """Takes a part of the target."""
        self.target += part
        if len(self.target) > self._limits.uri_bytes:
            path = self.target.partition(b"?")[0]
            if path not in _LONG_TARGETS or len(self.target) > self._limits.uri_gif:
                raise Refused(414, "uri_too_long", "the request target is too long")

    def field(self, name: bytes, value: bytes) -> None:
        """Takes a header field."""
        self.names += 1
        self._bytes += len(name) + len(value) + 4
        if self.names > self._limits.header_fields or self._bytes > self._limits.header_bytes:
            raise Refused(431, "header_too_large", "too many header fields, or too long ones")
        name = name.lower()
        if name in _ONCE and name in self.fields:
            raise Refused(400, "bad_request", f"header {name.decode('latin-1')} stands twice")
        self.fields[name] = value.strip(b" \t")

    def check(self, method: str, version: str) -> None:
        """REQUIRES: all fields were taken."""
        if version not in ("1.1", "1.0"):
            raise Refused(505, "http_version", "HTTP/1.0 and HTTP/1.1 only")
        if method not in METHODS:
            raise Refused(405, "method_not_allowed", "use GET, POST or OPTIONS")
        host = self.fields.get(b"host")
        if host is None:
            if version == "1.1":
                raise Refused(400, "bad_request", "no Host header")
        elif not host or any(c in host for c in b" ,/@\\\t"):
            raise Refused(400, "bad_request", "bad Host header")
        target = self.target
        if not target.startswith(b"/") and not (method == "OPTIONS" and target == b"*"):
            raise Refused(400, "bad_request", "the request target is a path")
        if any(c <= 0x20 or c == 0x7F for c in target):
            raise Refused(400, "bad_request", "the request target has control characters")
        self._check_framing(method, version)

    def _check_framing(self, method: str, version: str) -> None:
        coding = self.fields.get(b"transfer-encoding")
        length = self.fields.get(b"content-length")
        if coding is not None:
            if length is not None:
                raise Refused(400, "bad_request", "Content-Length beside Transfer-Encoding")
            if coding.lower() != b"chunked" or version == "1.0":
                raise Refused(501, "not_implemented", "Transfer-Encoding is chunked or absent")
        if length is not None:
            if not length.isdigit() or len(length) > 12:
                raise Refused(400, "bad_request", "bad Content-Length")
            if int(length) > self.body_limit():
                raise Refused(413, "body_too_large", self._too_large())
        if method == "POST" and coding is None and length is None:
            raise Refused(411, "length_required", "a POST needs Content-Length or chunks")
        expected = self.fields.get(b"expect")
        if expected is not None and expected.lower() != b"100-continue":
            raise Refused(417, "expectation_failed", "Expect is 100-continue or absent")

    def body_limit(self) -> int:
        """Bytes that the body may have."""
        return body_limit(self._limits)

    def _too_large(self) -> str:
        return f"the body is larger than {self.body_limit():,} bytes: send smaller batches"
