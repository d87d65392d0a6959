"""TLS on both listeners, with a certificate of the test's own; and what knocks without it."""

import json
import socket
import ssl
import subprocess
import time

import httpx
import pytest

from tests.e2e.test_serve import COUNT, event, served, values

KNOCKS = (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\xff\xff", b"", b"\0" * 99)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "cert.pem", folder / "key.pem"


def flags(certificate):
    return ("--dev", "--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]))


def port_of(address):
    return int(address.rpartition(":")[2])


def test_both_listeners_speak_tls_and_nothing_else(tmp_path, certificate):
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    with (
        served(tmp_path, *flags(certificate)) as server,
        httpx.Client(verify=trusted, timeout=20) as http,
    ):
        assert server.collect.startswith("https://")
        assert server.api.startswith("https://")
        for size in (1, 500):
            sent = [event(i, properties={"x": "y" * 900}) for i in range(size)]
            answer = http.post(f"{server.collect}/v1/events", json=sent)
            assert answer.json()["accepted"] == size
        found = http.post(f"{server.api}/v1/query", json=COUNT).json()
        assert values([one["name"] for one in found["columns"]], found["rows"]) == (501, 500)
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(f"{server.collect}/livez")
        for address in (server.collect, server.api):
            with pytest.raises(httpx.HTTPError):
                httpx.get(address.replace("https", "http") + "/livez", timeout=5)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        for address in (server.collect, server.api):
            with (
                socket.create_connection(("127.0.0.1", port_of(address)), 5) as raw,
                pytest.raises(OSError),  # noqa: PT011
            ):
                old.wrap_socket(raw)
        assert server.stop() == 0


def test_failed_handshakes_make_no_noise(tmp_path, certificate):
    with served(tmp_path, *flags(certificate)) as server:
        lines = len(server.log)
        for address in (server.collect, server.api):
            for knock in (
                b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                b"\x16\x03\x01\xff\xff",
                b"",
                b"\0" * 99,
            ):
                for _ in range(5):
                    with socket.create_connection(("127.0.0.1", port_of(address)), 5) as client:
                        client.sendall(knock)
                        client.shutdown(socket.SHUT_WR)
                        client.settimeout(5)
                        try:
                            while client.recv(4096):
                                pass
                        except OSError:
                            pass
        http = httpx.Client(verify=False, timeout=20)
        until = time.monotonic() + 10
        while "zuji_connections 0.0" not in http.get(f"{server.api}/metrics").text:
            assert time.monotonic() < until
        assert http.post(f"{server.collect}/v1/events", json=[event(1)]).status_code == 200
        http.close()
        assert server.stop() == 0
        said = server.log[lines:]
        assert not [line for line in said if "Traceback" in line or "ERROR" in line], said
        assert len(said) < 20, json.dumps(said, indent=1)
