"""The server's part of the README, line by line: a server, a key, SDKs, history."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import zuji
from tests.serving import ENVIRONMENT, Live, zuji_command

ROOT = Path(__file__).parents[2]


def section(name):
    text = (ROOT / name).read_text("utf-8")
    start = text.index("zuji serve --data data --dev")
    return text[start:]


def lines(name, start):
    """Commands of the section that begin so, as words."""
    found = re.findall(rf"^{start}.*$", section(name), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


@pytest.fixture
def live(tmp_path):
    """The server of the page, on other ports; its project was made by its own commands."""
    for words in lines("README.md", "zuji init"):
        zuji_command(*[tmp_path / "data" if w == "data" else w for w in words[1:]])
    (create,) = lines("README.md", "zuji key create")
    key = zuji_command(*[tmp_path / "data" if w == "data" else w for w in create[1:]])
    server = Live(tmp_path / "data")
    server.key = key
    server.start()
    yield server
    if server.process is not None:
        server.stop()


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_what_the_page_says_about_the_server_is_so(page, live, tmp_path):
    pytest.importorskip("sensorsanalytics")
    (curl,) = lines(page, "curl")
    body = curl[curl.index("-d") + 1]
    headers = {"Authorization": f"Bearer {live.key}"}
    sent = httpx.post(f"{live.url}/v1/events", content=body, headers=headers)
    assert sent.json()["accepted"] == 1
    code = re.search(r"```py\n(.*?)```", section(page), re.DOTALL).group(1)
    code = code.replace("http://127.0.0.1:8106", live.url)
    subprocess.run(
        [sys.executable, "-c", f"KEY = {live.key!r}\n{code}"],
        env=ENVIRONMENT,
        check=True,
        timeout=60,
    )
    (tmp_path / "history.csv").write_text("customer,at,sum\nc1,2026-10-01 08:00:00,5\n")
    record = (
        '{"type":"track","event":"old","time":1790812800000,"distinct_id":"c2","properties":{}}\n'
    )
    (tmp_path / "sensors-records.json").write_text(record)
    remote, local = lines(page, "zuji import (?:history|sensors)")
    words = {"http://127.0.0.1:8106": live.url, "KEY": live.key, "data": str(live.data)}
    files = {name: str(tmp_path / name) for name in ("history.csv", "sensors-records.json")}
    zuji_command(*[{**words, **files}.get(word, word) for word in remote[1:]])
    live.stop()
    live.process = None
    zuji_command(*[{**words, **files}.get(word, word) for word in local[1:]])
    with zuji.open(live.data, "app", mode="r") as engine:
        rows = {one["name"]: one["rows"] for one in engine.events()}
    assert rows == {"view": 1, "apply": 2, "pay": 1, "old": 1}


def test_a_server_in_development_mode_is_the_first_command(tmp_path):
    (words,) = lines("README.md", "zuji serve --data data --dev")
    server = Live(tmp_path / "data", "--dev")
    assert words == ["zuji", "serve", "--data", "data", "--dev"]
    server.start()
    try:
        sent = httpx.post(f"{server.url}/v1/events?project=app", content=b"[]")
        assert sent.status_code == 200
        assert httpx.get(f"{server.api}/docs").status_code == 200
    finally:
        server.stop()
