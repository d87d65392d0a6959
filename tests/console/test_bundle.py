"""What a first visit loads, and that the built files name nothing outside."""

from __future__ import annotations

import gzip
import re

FIRST_LOAD = 350 * 1024
"""Bytes, gzipped, before any chart."""
CHUNK = 300 * 1024
"""Bytes, gzipped, of any one file: the charts are the greatest."""
NAMES_ONLY = (
    "http://www.w3.org/", "https://vuejs.org/", "https://github.com/", "https://vue-i18n.",
    "https://element-plus.org", "https://router.vuejs.org", "https://echarts.apache.org",
)  # fmt: skip
"""Names of XML and addresses in messages to developers: nothing loads them."""


def size(path):
    return len(gzip.compress(path.read_bytes(), 9))


def test_the_first_visit_is_small(site, visit, dist):
    who = visit("zhang")
    seen = set()
    who.page.on("request", lambda request: seen.add(request.url.removeprefix(site.url)))
    who.open("/settings/me")
    files = [dist / url.lstrip("/").split("?")[0] for url in seen if url.startswith("/assets/")]
    assert files
    total = sum(map(size, files)) + size(dist / "index.html")
    assert total <= FIRST_LOAD, f"{total / 1024:.0f} KiB in {len(files)} files"
    assert not any("echarts" in file.name for file in files)


def test_no_file_is_too_large_and_all_are_compressed_beside(dist):
    for path in (dist / "assets").iterdir():
        if path.suffix in (".js", ".css"):
            assert size(path) <= CHUNK, path.name
            if path.stat().st_size >= 1024:
                assert path.with_name(f"{path.name}.br").exists(), path.name
                assert path.with_name(f"{path.name}.gz").exists(), path.name
        assert path.suffix not in (".woff", ".woff2", ".ttf", ".map"), path.name


def test_nothing_outside_is_named(dist):
    for path in [dist / "index.html", *(dist / "assets").glob("*.js"), *dist.glob("assets/*.css")]:
        for found in re.findall(r"https?://\w[^\s\"'`)<>\\]+", path.read_text()):
            known = found.startswith(NAMES_ONLY) or "${" in found
            assert known, f"{path.name}: {found}"
        assert "@import" not in path.read_text() or path.suffix != ".css"


def test_no_script_or_style_is_in_the_page(dist):
    index = (dist / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", index)
    assert "<style" not in index
    assert "style=" not in index
