"""The browser SDK in headless Chromium, and the mini program's over a stub of `wx`, against the
collector itself. Skipped where Chromium, Node or the bundles (`make sdk-web-test`) are missing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SDK = Path(__file__).parents[2] / "sdk"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
BUNDLE = SDK / "web" / "dist" / "zuji.min.js"
MINI = SDK / "miniprogram" / "dist" / "index.cjs"

ONE = """<!doctype html><title>One</title><button id=go>Apply <b>now</b></button>
<input id=secret value=SECRET><script src=/zuji.min.js></script><script>
var t = zuji.init({url: URL_, key: KEY_, consent: null, address: function (u) {
  return new URL(u).pathname; }});
t.track('before_consent');
if (localStorage.length || document.cookie) t.track('stored_before_consent');
t.setConsent(true);
t.pageView();
t.identify('ann');
t.track('apply', {amount: 500, city: '济南 😀', tags: ['a', 'b']});
document.querySelector('b').click();
document.querySelector('#secret').click();
history.pushState(null, '', '/route');
t.flush().then(function (gone) {
  t.track('leaving', {gone: gone});
  location.assign('/two');
});
</script>"""
TWO = """<!doctype html><title>Two</title><script src=/zuji.min.js></script><script>
var t = zuji.init({url: URL_, key: KEY_, consent: true, address: function (u) {
  return new URL(u).pathname; }});
t.flush().then(function (gone) {
  var left = Object.keys(localStorage).filter(function (k) { return k.indexOf(':q:') > 0; });
  fetch('/done', {method: 'POST', body: JSON.stringify(
    {gone: gone, stats: t.stats, left: left.length, user: t.userId(), device: t.deviceId()})});
});
</script>"""


class Site:
    """Serves the pages, and waits for what the last one tells."""

    def __init__(self, url, key):
        self.told = None
        self.done = threading.Event()
        site = self
        pages = {
            "/": ONE.replace("URL_", json.dumps(url)).replace("KEY_", json.dumps(key)),
            "/two": TWO.replace("URL_", json.dumps(url)).replace("KEY_", json.dumps(key)),
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                script = self.path == "/zuji.min.js"
                data = BUNDLE.read_bytes() if script else pages.get(self.path, "").encode()
                self.send_response(200)
                kind = "text/javascript" if script else "text/html; charset=utf-8"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self):
                site.told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                site.done.set()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.mark.skipif(not CHROMIUM or not BUNDLE.exists(), reason="needs Chromium and the bundle")
def test_two_pages_in_a_browser(live, tmp_path):
    site = Site(live.url, live.key)
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    browser = subprocess.Popen(
        [*command, f"--user-data-dir={tmp_path / 'profile'}", f"{site.url}/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert site.done.wait(60), "the second page was not reached"
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
        site.server.shutdown()
        site.server.server_close()
    told = site.told
    assert told["gone"] is True
    assert told["left"] == 0
    assert told["user"] == "ann"
    rows = live.stored(*_around_now())
    name = next(
        key for key in rows[0] if rows[0][key] in ("page_view", "apply", "click", "leaving")
    )
    assert Counter(row[name] for row in rows) == {
        "page_view": 3,
        "page_stay": 2,
        "click": 1,
        "apply": 1,
        "leaving": 1,
    }
    assert {row["device_id"] for row in rows} == {told["device"]}
    assert len({row["$session_id"] for row in rows}) == 1
    by_name = {row[name]: row for row in rows}
    assert by_name["apply"]["amount"] == 500.0
    assert by_name["apply"]["city"] == "济南 😀"
    assert by_name["apply"]["user_id"] == "ann"
    assert list(by_name["apply"]["tags"]) == ["a", "b"]
    assert by_name["click"]["$element_text"] == "Apply now"
    assert by_name["leaving"]["gone"] is True
    views = [row["$url"] for row in sorted(rows, key=_time) if row[name] == "page_view"]
    assert views == ["/", "/route", "/two"]
    assert "SECRET" not in json.dumps(rows, default=str)


@pytest.mark.skipif(not shutil.which("node") or not MINI.exists(), reason="needs Node, the bundle")
def test_a_mini_program(live):
    run = subprocess.run(
        ["node", str(SDK / "miniprogram" / "e2e" / "live.mjs"), live.url, live.key],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    stats = json.loads(run.stdout)
    assert stats["gone"] is True
    assert (stats["accepted"], stats["rejected"], stats["duplicates"]) == (127, 0, 0)
    rows = live.stored(*_around_now())
    custom = sorted((row for row in rows if row.get("n") is not None), key=lambda row: row["n"])
    assert [row["n"] for row in custom] == list(range(120))
    assert {row["text"] for row in custom} == {"济南 😀"}
    assert len(rows) == 125


def _time(row):
    return row["time"]


def _around_now():
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    return tuple(str((now + timedelta(days=days)).date()) for days in (-1, 1))
