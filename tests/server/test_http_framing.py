"""Requests that two servers could read in two ways, and ones that are no requests at all: refused,
the connection closed, and never a second request seen in what was the body of the first.
"""

import pytest

from tests.server.listening import all_of, connected, listening, statuses

GOOD = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
INNER = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNK = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(*lines, body=b""):
    return b"\r\n".join((b"POST /v1/events HTTP/1.1", *lines)) + b"\r\n\r\n" + body


BAD = {
    # a body announced in two ways
    "length and chunks": post(b"Host: a", b"Content-Length: 5", b"Transfer-Encoding: chunked",
                              body=b"0\r\n\r\n" + INNER),
    "chunks and length": post(b"Host: a", b"Transfer-Encoding: chunked", b"Content-Length: 5",
                              body=b"0\r\n\r\n" + INNER),
    "two lengths": post(b"Host: a", b"Content-Length: 3", b"Content-Length: 40",
                        body=b"abc" + INNER),
    "two equal lengths": post(b"Host: a", b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    "a list of lengths": post(b"Host: a", b"Content-Length: 3, 3", body=b"abc"),
    "a length with a sign": post(b"Host: a", b"Content-Length: +3", body=b"abc"),
    "a negative length": post(b"Host: a", b"Content-Length: -1", body=b"abc"),
    "a hexadecimal length": post(b"Host: a", b"Content-Length: 0x3", body=b"abc"),
    "a length with a fraction": post(b"Host: a", b"Content-Length: 3.0", body=b"abc"),
    "a length of spaces": post(b"Host: a", b"Content-Length:  ", body=b"abc"),
    "a length with a space inside": post(b"Host: a", b"Content-Length: 3 3", body=b"abc"),
    "a length beyond 64 bits": post(b"Host: a", b"Content-Length: 99999999999999999999"),
    "a length too large": post(b"Host: a", b"Content-Length: 999999999"),
    "a length in a folded line": post(b"Host: a", b"Content-Length:", b" 3", body=b"abc"),
    "no length": post(b"Host: a"),
    # transfer codings
    "an unknown coding": post(b"Host: a", b"Transfer-Encoding: cow", body=b"abc"),
    "chunked twice": post(b"Host: a", b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "two codings": post(b"Host: a", b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked not last": post(b"Host: a", b"Transfer-Encoding: chunked, identity",
                             body=b"0\r\n\r\n"),
    "two coding lines": post(b"Host: a", b"Transfer-Encoding: chunked",
                             b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + INNER),
    "a coding after a tab": post(b"Host: a", b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n"),
    "a quoted coding": post(b"Host: a", b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "space before the colon": post(b"Host: a", b"Content-Length : 3", body=b"abc"),
    "space before the coding's colon": post(b"Host: a", b"Transfer-Encoding : chunked",
                                            b"Content-Length: 3", body=b"abc"),
    "an underscore for a dash is another header": post(b"Host: a", b"Content_Length: 3",
                                                       body=b"abc"),
    # chunks
    "a chunk of no size": CHUNK + b"\r\nabc\r\n0\r\n\r\n",
    "a negative chunk": CHUNK + b"-1\r\nabc\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNK + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk size of 17 digits": CHUNK + b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than said": CHUNK + b"3\r\nabcdef\r\n0\r\n\r\n",
    "a chunk without its end": CHUNK + b"3\r\nabc0\r\n\r\n" + INNER,
    "a chunk ended by LF": CHUNK + b"3\nabc\n0\n\n" + INNER,
    "a chunk size ended by CR": CHUNK + b"3\rabc\r\n0\r\n\r\n",
    "spaces before a chunk size": CHUNK + b" 3\r\nabc\r\n0\r\n\r\n",
    # lines
    "LF for CRLF": b"POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc",
    "CR for CRLF": b"POST / HTTP/1.1\rHost: a\rContent-Length: 3\r\rabc",
    "a bare CR in a value": post(b"Host: a", b"X: a\rTransfer-Encoding: chunked",
                                 b"Content-Length: 3", body=b"abc"),
    "a NUL in a value": post(b"Host: a", b"X: a\0b", b"Content-Length: 3", body=b"abc"),
    "a NUL in a name": post(b"Host: a", b"X\0: a", b"Content-Length: 3", body=b"abc"),
    "a folded line": post(b"Host: a", b"X: a", b" b", b"Content-Length: 3", body=b"abc"),
    "a space in a name": post(b"Host: a", b"X Y: a", b"Content-Length: 3", body=b"abc"),
    "a line without a colon": post(b"Host: a", b"nonsense", b"Content-Length: 3", body=b"abc"),
    "no name": post(b"Host: a", b": a", b"Content-Length: 3", body=b"abc"),
    "a first line that is folded": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    # hosts
    "two hosts": post(b"Host: a", b"Host: b", b"Content-Length: 3", body=b"abc"),
    "no host": post(b"Content-Length: 3", body=b"abc"),
    "an empty host": post(b"Host:", b"Content-Length: 3", body=b"abc"),
    "a list of hosts": post(b"Host: a, b", b"Content-Length: 3", body=b"abc"),
    "a host with a path": post(b"Host: a/b", b"Content-Length: 3", body=b"abc"),
    "a host with a user": post(b"Host: a@b", b"Content-Length: 3", body=b"abc"),
    # request lines
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/0.9 with headers": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "a version of two digits": b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    "lower-case http": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "an unknown method": b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a lower-case method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "TRACE": b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a whole URL": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a control character in the target": b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "noise": bytes(range(256)),
    "an expectation": post(b"Host: a", b"Content-Length: 3", b"Expect: miracles", body=b"abc"),
    # sizes
    "a long target": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "many fields": post(b"Host: a", *(b"X-%d: a" % i for i in range(70)), b"Content-Length: 3"),
    "long fields": post(b"Host: a", *(b"X: " + b"a" * 5000 for _ in range(4))),
    "one long field": post(b"Host: a", b"X: " + b"a" * 20_000),
}  # fmt: skip
GOOD_ONES = {
    "length": (GOOD, b"abc"),
    "chunks": (CHUNK + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
    "chunks with extensions and trailers": (
        CHUNK + b"3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
        b"abc",
    ),
    "upper-case hexadecimal": (CHUNK + b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "a length of nothing": (post(b"Host: a", b"Content-Length: 0"), b""),
    "odd case of names": (post(b"hOST: a", b"cONTENT-lENGTH: 3", body=b"abc"), b"abc"),
    "spaces about values": (post(b"Host:  a ", b"Content-Length:\t3 ", body=b"abc"), b"abc"),
    "empty lines before": (b"\r\n" + GOOD, b"abc"),
    "GET": (b"GET /sa.gif?data=x HTTP/1.1\r\nHost: a:80\r\n\r\n", b""),
    "a long pixel": (b"GET /sa.gif?" + b"a" * 30_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b""),
    "another protocol of the same form": (b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", b""),
    "HTTP/1.0 without a host": (b"GET / HTTP/1.0\r\n\r\n", b""),
}


def talked(listener, *parts):
    with connected(listener.port) as client:
        for part in parts:
            client.sendall(part)
        client.shutdown(1)
        return all_of(client)


@pytest.fixture(scope="module")
def listener():
    with listening() as found:
        yield found


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "byte by byte"])
def test_bad_requests_are_refused(listener, name, cut):
    raw = BAD[name]
    listener.seen.clear()
    parts = [raw[i : i + 1] for i in range(len(raw))] if cut and len(raw) < 2000 else [raw]
    try:
        answered = talked(listener, *parts, b"" if cut else GOOD)
    except OSError:  # closed while we still wrote
        answered = b""
    assert all(status >= 400 for status in statuses(answered)), answered
    assert len(statuses(answered)) <= 1
    assert not listener.seen, [request.path for request in listener.seen]
    listener.watch.refused.clear()


@pytest.mark.parametrize("name", GOOD_ONES)
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "byte by byte"])
def test_good_requests_are_read(listener, name, cut):
    raw, body = GOOD_ONES[name]
    listener.seen.clear()
    parts = [raw[i : i + 1] for i in range(len(raw))] if cut and len(raw) < 2000 else [raw]
    answered = talked(listener, *parts)
    assert statuses(answered) == [200]
    (request,) = listener.seen
    assert request.body == body


def test_refusals_come_after_the_answers_before(listener):
    listener.seen.clear()
    answered = talked(listener, GOOD + GOOD + BAD["two hosts"] + GOOD)
    assert statuses(answered) == [200, 200, 400]
    assert len(listener.seen) == 2


def test_after_a_refusal_nothing_is_read(listener):
    listener.seen.clear()
    answered = talked(listener, BAD["length and chunks"])
    assert statuses(answered) == [400]
    assert b"Connection: close" in answered
    assert not listener.seen


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_an_upgrade_is_answered_in_http_1_1_and_the_rest_not_read(listener, protocol):
    listener.seen.clear()
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: " + protocol
    answered = talked(listener, request + b"\r\n\r\n" + GOOD)
    assert statuses(answered) == [200]
    assert b"Connection: close" in answered
    assert len(listener.seen) == 1
