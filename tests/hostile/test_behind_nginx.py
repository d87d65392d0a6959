"""The corpus of malformed HTTP through Debian's nginx, with the configuration that the docs give:
no request is smuggled in another's body, and every answer belongs to its request.
"""

import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.server.listening import connected, listening
from tests.server.test_http_framing import BAD, GOOD_ONES, INNER, post

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

# What two servers in a row could read in two ways; those of the collector alone are in BAD.
MORE = {
    "a coding that nginx knows and llhttp does not": post(
        b"Host: a", b"Transfer-Encoding: xchunked", b"Content-Length: 3", body=b"abc" + INNER
    ),
    "a length hidden by a tab": post(b"Host: a", b"Content-Length:\t3", body=b"abc" + INNER),
    "a zero chunk and a request": post(
        b"Host: a", b"Transfer-Encoding: chunked", body=b"0\r\nX: y\r\n\r\n"
    ),
    "a body with a request in it": post(b"Host: a", b"Content-Length: %d" % len(INNER), body=INNER),
    "chunks with a request in them": post(
        b"Host: a",
        b"Transfer-Encoding: chunked",
        body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER),
    ),
    "an upgrade to h2c": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + INNER,
    "a connection header that names others": post(
        b"Host: a", b"Connection: content-length", b"Content-Length: 3", body=b"abc"
    ),
    "an expectation": post(b"Host: a", b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"),
}
LAST = post(b"Host: a", b"Connection: close", b"Content-Length: 3", body=b"end")
MARKED = post(b"Host: a", b"Connection: close", b"Content-Length: 6", body=b"marked")
EVERY = {**BAD, **{name: raw for name, (raw, _) in GOOD_ONES.items()}, **MORE}


def configuration(folder, port, upstream):
    """The documented one, on other ports and without TLS."""
    (block,) = re.findall(r"```nginx\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    block = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", block)
    block = re.sub(r"\n\s*ssl_certificate[^\n]*", "", block)
    block = block.replace("127.0.0.1:8106", f"127.0.0.1:{upstream}")
    block = re.sub(r"access_log off;[^\n]*", f"access_log {folder}/passed.log passed;", block)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""{user}worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
log_format passed '$remote_port $request_uri $upstream_status';
{places}{block}
}}
"""


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """A listener, the port of the nginx before it, and the file that says what nginx passed on."""
    import socket

    folder = tmp_path_factory.mktemp("nginx")
    with listening() as listener, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        file = folder / "nginx.conf"
        file.write_text(configuration(folder, port, listener.port))
        call = [NGINX, "-p", str(folder), "-c", str(file), "-e", f"{folder}/error.log"]
        process = subprocess.Popen([*call, "-g", "daemon off;"], stderr=subprocess.PIPE)
        try:
            until = time.monotonic() + 20
            while True:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < until
                try:
                    connected(port).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.02)
            yield listener, port, folder / "passed.log"
        finally:
            process.terminate()
            process.wait(20)
            process.stderr.close()


def answers(raw):
    """(status, body) of each answer on a connection."""
    found, rest = [], raw
    while rest.startswith(b"HTTP/1."):
        head, _, rest = rest.partition(b"\r\n\r\n")
        if head[9:12] == b"100":
            continue
        length = re.search(rb"(?i)content-length: (\d+)", head)
        size = int(length[1]) if length else len(rest)
        found.append((int(head[9:12]), rest[:size]))
        rest = rest[size:]
    return found


def spoken(port, raw, wait=10.0):
    """Answers until nginx closes, or says nothing more: it waits for a body that never comes."""
    return spoken_from(port, raw, wait)[1]


def spoken_from(port, raw, wait):
    """The same, behind the port of the client."""
    parts = []
    with connected(port) as client:
        client.settimeout(wait)
        own = client.getsockname()[1]
        with suppress(OSError):  # closed while we still wrote, or silent
            client.sendall(raw)
            while part := client.recv(65536):
                parts.append(part)
    return own, answers(b"".join(parts))


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_smuggled(proxied, name):
    listener, port, log = proxied
    listener.seen.clear()
    own, told = spoken_from(port, EVERY[name] + LAST, wait=0.5)
    taken = [body for status, body in told if status == 200]
    seen = list(listener.seen)
    if name != "HTTP/0.9":  # whose answers are a body, and nothing that says so
        assert taken == [request.body[:100] for request in seen]
    assert all(status == 200 or status >= 400 for status, _ in told)
    for _ in range(3):  # other clients, over nginx's connections to the collector
        assert spoken(port, MARKED) == [(200, b"marked")]
    paths = [request.path for request in seen]
    assert passed(log, own, len(paths)) == paths, "the two do not agree on what a request is"


def passed(log, own, count):
    """Paths of the requests of one client that nginx passed on; it logs after it has answered."""
    until = time.monotonic() + 5
    while True:
        lines = [line.split() for line in log.read_text(errors="replace").splitlines()]
        mine = [line for line in lines if line[:1] == [str(own)] and line[-1] == "200"]
        if len(mine) >= count or time.monotonic() > until:
            return [urlsplit(unquote(line[1])).path for line in mine]
        time.sleep(0.01)


REFUSED = {"spaces about values"}
"""nginx takes no tab there; RTSP it does not know."""


def test_good_requests_pass(proxied):
    listener, port, _ = proxied
    for name, (raw, body) in GOOD_ONES.items():
        if b"RTSP" in raw:
            continue
        listener.seen.clear()
        told = [status for status, _ in spoken(port, raw, wait=0.5)]
        assert told == ([400] if name in REFUSED else [200]), name
        assert [request.body for request in listener.seen] == ([body] if told == [200] else [])


def test_what_a_client_says_of_its_address_does_not_pass(proxied):
    listener, port, _ = proxied
    listener.seen.clear()
    lines = (b"Host: a", b"X-Forwarded-For: 203.0.113.9", b"Content-Length: 3")
    assert spoken(port, post(*lines, b"Connection: close", body=b"abc"))[0][0] == 200
    assert listener.seen[0].header(b"x-forwarded-for") == "127.0.0.1"
