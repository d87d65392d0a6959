"""The console's files: kinds, compression, caching, addresses of pages, and nothing else."""

from __future__ import annotations

import gzip
import os

import pytest
from starlette.testclient import TestClient

from tests.server.signing import Console as Server
from tests.server.signing import code
from zuji.server.api import make_api
from zuji.server.console_files import Console

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SCRIPT = b"export const a = 1;\n" * 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A build, and a secret beside it."""
    root = tmp_path_factory.mktemp("console")
    (root / "secret.txt").write_text("secret")
    dist = root / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><title>console</title>")
    script = dist / "assets" / "index-4f1b.js"
    script.write_bytes(SCRIPT)
    script.with_name("index-4f1b.js.gz").write_bytes(gzip.compress(SCRIPT))
    script.with_name("index-4f1b.js.br").write_bytes(b"brotli of it")
    (dist / "assets" / "style-9.css").write_text("a{}")
    (dist / "favicon.svg").write_text("<svg/>")
    os.symlink(root / "secret.txt", dist / "linked.txt")
    os.symlink("/etc", dist / "etc")
    return dist


@pytest.fixture(scope="module")
def client(folder, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("data"))
    app = make_api(server.api, Console(folder))
    yield TestClient(app, follow_redirects=False, headers={"Accept-Encoding": "identity"})
    server.close()


def test_addresses_of_pages_are_the_page(client):
    for path in ("/", "/index.html", "/sign-in", "/boards/k7fq", "/a/b/c?d=e"):
        answer = client.get(path, headers=PAGE)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        assert "<title>console" in answer.text


def test_every_page_may_load_only_what_this_server_has(client):
    for path in ("/", "/boards/x", "/assets/index-4f1b.js"):
        headers = client.get(path, headers=PAGE).headers
        assert headers["content-security-policy"] == (
            "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; "
            "base-uri 'none'; form-action 'self'; object-src 'none'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"


def test_answers_of_the_api_are_no_pages(client):
    headers = client.get("/v1/status").headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_files_with_a_hash_are_kept_for_ever(client):
    answer = client.get("/assets/index-4f1b.js")
    assert answer.content == SCRIPT
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert client.get("/favicon.svg").headers["cache-control"] == "no-cache"
    assert client.get("/assets/style-9.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("br, gzip", "br"),
        ("gzip, deflate", "gzip"),
        ("gzip;q=1.0, br;q=0", "gzip"),
        ("br;q=0.0, gzip;q=0", None),
        ("identity", None),
        ("", None),
    ],
)
def test_what_is_compressed_is_sent_to_who_takes_it(client, accepted, encoding):
    with client.stream(
        "GET", "/assets/index-4f1b.js", headers={"Accept-Encoding": accepted}
    ) as answer:
        assert answer.headers.get("content-encoding") == encoding
        assert answer.headers["vary"] == "Accept-Encoding"
        raw = b"".join(answer.iter_raw())
    wanted = {"br": b"brotli of it", None: SCRIPT}
    assert (gzip.decompress(raw) if encoding == "gzip" else raw) == wanted.get(encoding, SCRIPT)


def test_what_a_browser_has_is_not_sent_again(client):
    tag = client.get("/", headers=PAGE).headers["etag"]
    again = client.get("/", headers={**PAGE, "If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    plain = client.get("/assets/index-4f1b.js").headers["etag"]
    packed = {"If-None-Match": plain, "Accept-Encoding": "gzip"}
    assert client.get("/assets/index-4f1b.js", headers=packed).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/assets/../../secret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/..%5c..%5csecret.txt",
        "//etc/passwd",
        "/etc/passwd",
        "/linked.txt",
        "/assets/index-4f1b.js%00.txt",
        "/assets/",
        "/assets",
        "/assets/index-4f1b.js.gz",
        "/index.html/",
    ],
)
def test_nothing_but_files_of_the_build_is_sent(client, path):
    answer = client.get(path)
    assert code(answer) == (404, "not_found")
    page = client.get(path, headers=PAGE)
    assert "secret" not in page.text
    assert page.status_code in (200, 404)
    assert page.status_code == 404 or "<title>console" in page.text


def test_what_is_no_page_is_not_answered_with_one(client):
    assert code(client.get("/assets/index-0000.js", headers=PAGE)) == (404, "not_found")
    assert code(client.get("/nothing.js")) == (404, "not_found")
    assert code(client.get("/v1/nothing", headers=PAGE)) == (404, "not_found")
    assert code(client.get("/v1", headers=PAGE)) == (404, "not_found")
    assert code(client.post("/boards", headers=PAGE)) == (404, "not_found")
    assert code(client.post("/")) == (405, "method_not_allowed")
    assert client.head("/", headers=PAGE).status_code == 200


def test_nobody_is_led_away_by_the_name_of_the_host(client):
    """A redirect to what Host says would be one to anywhere."""
    for path in ("/docs/", "//evil.example/", "/v1/status/", "//evil.example/%2e%2e"):
        answer = client.get(path, headers={**PAGE, "Host": "evil.example"})
        assert answer.status_code in (200, 404), path
        assert "location" not in answer.headers


def test_the_page_of_the_api_works_beside(client):
    answer = client.get("/docs", headers=PAGE)
    assert "SwaggerUI" in client.get("/docs/start.js").text
    assert "swagger-ui-bundle.js" in answer.text
    assert "'unsafe-inline'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert client.get("/docs/static/swagger-ui.css").status_code == 200
    assert client.get("/openapi.json").json()["openapi"] == "3.1.0"


def test_without_a_build_the_page_says_how_to_make_one(tmp_path):
    server = Server(tmp_path / "data")
    client = TestClient(make_api(server.api, Console(tmp_path / "none")))
    answer = client.get("/", headers=PAGE)
    assert answer.status_code == 503
    assert "make console" in answer.text
    assert client.get("/livez").status_code == 200
    server.close()


def test_a_running_server_has_the_files_of_a_new_build(tmp_path):
    server = Server(tmp_path / "data")
    dist = tmp_path / "dist"
    try:
        client = TestClient(make_api(server.api, Console(dist)), follow_redirects=False)
        assert client.get("/", headers=PAGE).status_code == 503  # not built yet
        for version in ("1", "2"):
            (dist / "assets").mkdir(parents=True, exist_ok=True)
            for old in (dist / "assets").iterdir():
                old.unlink()
            (dist / "assets" / f"index-{version}.js").write_text(f"let version = {version}")
            (dist / "index.html").write_text(f"<title>version {version}</title>" + version * 9)
            assert f"version {version}<" in client.get("/boards", headers=PAGE).text
            assert client.get(f"/assets/index-{version}.js").text == f"let version = {version}"
        assert client.get("/assets/index-1.js").status_code == 404
        (dist / "assets" / "index-2.js").unlink()
        assert client.get("/assets/index-2.js").status_code == 404  # in the midst of a build
    finally:
        server.close()
