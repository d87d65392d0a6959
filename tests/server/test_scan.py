"""The quick reader of requests against llhttp and ``guard.py``: what it takes, they take in the
same way; what they refuse, it does not take.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.server.test_http_framing import BAD
from zuji.server.collector._scan import scan
from zuji.server.collector.http import Watch
from zuji.server.collector.message import Answer
from zuji.server.settings import Settings

PLAIN = b"GET /sa.gif?data=a%2Bb&x HTTP/1.1\r\nHost: a:8106\r\nX-Y: \t b c \t\r\n\r\n"
POST = b"POST /v1/events HTTP/1.1\r\nhOST: a\r\nContent-Length: 3\r\n\r\nabc"
KEPT = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n"
LIMITS = (8192, 64, 16384, 1 << 20)


class Transport:
    """What a connection writes to."""

    def __init__(self):
        self.written = b""
        self.closed = False

    def get_extra_info(self, _name):
        return ("127.0.0.1", 1)

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    abort = close

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    resume_reading = pause_reading


def read(data, *, quickly):
    """Requests that a connection makes of some bytes, and whether it stays open."""
    seen = []
    watch = Watch(Settings(), lambda request, _connection: seen.append(request))
    if not quickly:
        watch.plain = (0, 0, 0, 0)
    turns = []
    watch.later = turns.append  # what the loop would do at its next turn
    connection = watch.protocol()
    transport = Transport()
    connection.connection_made(transport)
    connection.data_received(data)
    told = 0
    while turns or told < len(seen):
        if told < len(seen):
            told += 1
            connection.answer(Answer(200, b"ok"))
        else:
            turns.pop(0)()
    return (
        [(r.method, r.path, r.query, r.headers, r.body, r.peer) for r in seen],
        transport.closed,
        transport.written,
    )


def test_a_plain_request_is_taken_apart():
    assert scan(PLAIN + POST, 0, *LIMITS) == (
        "GET",
        "/sa.gif",
        b"data=a%2Bb&x",
        {b"host": b"a:8106", b"x-y": b"b c"},
        b"",
        len(PLAIN),
    )
    method, path, query, headers, body, end = scan(PLAIN + POST, len(PLAIN), *LIMITS)
    assert (method, path, query, body) == ("POST", "/v1/events", b"", b"abc")
    assert headers == {b"host": b"a", b"content-length": b"3"}
    assert end == len(PLAIN + POST)
    assert scan(KEPT, 0, *LIMITS) is not None


@pytest.mark.parametrize("whole", [PLAIN, POST, KEPT])
def test_what_is_not_whole_waits(whole):
    for end in range(len(whole)):
        assert scan(whole[:end], 0, *LIMITS) is None
    assert scan(whole, len(whole), *LIMITS) is None
    assert scan(whole, len(whole) + 1, *LIMITS) is None
    assert scan(whole, -1, *LIMITS) is None


def test_beyond_a_limit_it_is_unsure():
    target = len(b"/sa.gif?data=a%2Bb&x")
    assert scan(PLAIN, 0, target, 2, 100, 0) is not None
    assert scan(PLAIN, 0, target - 1, 2, 100, 0) is None
    assert scan(PLAIN, 0, target, 1, 100, 0) is None
    assert scan(PLAIN, 0, target, 2, 20, 0) is None
    assert scan(POST, 0, 100, 9, 100, 3) is not None
    assert scan(POST, 0, 100, 9, 100, 2) is None


@pytest.mark.parametrize("name", BAD)
def test_it_takes_nothing_that_is_refused(name):
    assert read(BAD[name], quickly=True) == read(BAD[name], quickly=False)


PIECES = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"HEAD ", b"/", b"/a?b=%20c", b"/%41", b"*", b"/a#b", b"/\xc3\xa9"),
        *(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/1.1\n", b"  HTTP/1.1\r\n"),
        *(b"Host: a\r\n", b"host:b\r\n", b"Host: \r\n", b"Host: a,b\r\n", b"Host : a\r\n"),
        *(b"Content-Length: 3\r\n", b"content-length:0\r\n", b"Content-Length: +3\r\n"),
        *(b"Content-Length: 03\r\n", b"Content-Length: 3 \r\n", b"Transfer-Encoding: chunked\r\n"),
        *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: upgrade\r\n"),
        *(b"Connection: keep-alive, close\r\n", b"Proxy-Connection: close\r\n", b"Upgrade: x\r\n"),
        *(b"Expect: 100-continue\r\n", b"X: y\r\n", b"Cookie: a=b\r\n"),
        *(b"X: \xc3\xa9\r\n", b"X: a\x01\r\n", b"X:\r\n"),
        *(
            b" folded\r\n",
            b"X: a\r",
            b"X\x00: a\r\n",
            b"Content-Length: 3\n",
            b"Content_Length: 3\r\n",
        ),
        *(b"\r\n", b"\n", b"abc", b"3\r\nabc\r\n0\r\n\r\n", PLAIN, POST, KEPT),
    ]
)


@settings(max_examples=1500, deadline=None)
@example([PLAIN, POST, KEPT, PLAIN[:-3]])
@example([POST, b"Connection: close\r\n\r\n"])
@example([KEPT[:-2], b"Connection: close\r\n", b"\r\n", PLAIN])
@given(st.lists(PIECES, min_size=1, max_size=12))
def test_both_readers_see_the_same(pieces):
    data = b"".join(pieces)
    assert read(data, quickly=True) == read(data, quickly=False)


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from([PLAIN, POST, KEPT]),
    st.integers(0, 80),
    st.integers(0, 255),
    st.sampled_from([PLAIN, POST, KEPT, b""]),
)
def test_a_changed_byte_is_read_the_same(first, at, byte, second):
    data = bytearray(first)
    data[at % len(data)] = byte
    assert read(bytes(data) + second, quickly=True) == read(bytes(data) + second, quickly=False)
