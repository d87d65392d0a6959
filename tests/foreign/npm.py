"""SDKs from npm for tests: installed once for the machine, run in Node or in headless Chromium.

The versions are those of ``package.json`` and ``package-lock.json`` beside this file. They are
installed into a folder of the user's cache that is named after the lock file, so that nothing is
installed twice and no two versions meet.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
NPM = shutil.which("npm")
KINDS = {".js": "text/javascript", ".json": "application/json", ".css": "text/css"}


def installed():
    """The folder whose ``node_modules`` has the SDKs; installs them when they are not there."""
    said = (HERE / "package.json").read_bytes() + (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zuji-tests"
    folder = cache / hashlib.sha256(said).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, folder / name)
            # not `npm ci`: that refuses a lock file without the optional packages of other systems
            command = [NPM, "install", "--ignore-scripts", "--no-audit", "--no-fund"]
            run = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=280, check=False
            )
            assert run.returncode == 0, run.stderr
            (folder / "whole").touch()
    return folder


class Npm:
    """The installed packages. ``modules``: their folder."""

    def __init__(self, folder):
        self.folder = folder
        self.modules = folder / "node_modules"

    def script(self, tmp_path, code, *arguments):
        """A running Node process of an ES module's text; it can import the packages. Its arguments
        are ``process.argv.slice(2)``. Standard output and error are pipes of text.
        """
        path = tmp_path / "script.mjs"
        path.write_text(code)
        link = tmp_path / "node_modules"
        if not link.exists():
            link.symlink_to(self.modules)
        return subprocess.Popen(
            ["node", str(path), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, tmp_path, code, *arguments, timeout=60):
        """What that process printed, read as JSON (None when it printed nothing)."""
        process = self.script(tmp_path, code, *arguments)
        try:
            said, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            said, errors = process.communicate()
            raise AssertionError(f"no end after {timeout} s: {said} {errors}") from None
        assert process.returncode == 0, errors
        return json.loads(said) if said.strip() else None

    def bundle(self, tmp_path, code):
        """One script for browsers, of an ES module's text that imports packages."""
        source, made = tmp_path / "entry.mjs", tmp_path / "bundle.js"
        source.write_text(code)
        link = tmp_path / "node_modules"
        if not link.exists():
            link.symlink_to(self.modules)
        command = [self.modules / ".bin" / "esbuild", source, "--bundle", f"--outfile={made}"]
        options = ["--platform=browser", "--format=iife", "--log-level=warning"]
        subprocess.run([*command, *options], check=True, timeout=60)
        return made.read_text()


class Site:
    """Serves pages and scripts on loopback, and waits for what a page tells by
    ``fetch('/done', {method: 'POST', body: JSON})``.
    """

    def __init__(self, files):
        self.files = {path: _bytes(text) for path, text in files.items()}
        self.told = None
        self.done = threading.Event()
        self.errors = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.partition("?")[0]
                data = site.files.get(path)
                self.send_response(404 if data is None else 200)
                kind = KINDS.get(Path(path).suffix, "text/html")
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()
                if self.path == "/error":
                    site.errors.append(body.decode())
                    return
                site.told = json.loads(body)
                site.done.set()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()


TELL_ERRORS = """<script>
addEventListener('error', function (e) { fetch('/error', {method: 'POST', body: e.message}); });
addEventListener('unhandledrejection', function (e) {
  fetch('/error', {method: 'POST', body: String(e.reason)}); });
</script>"""


@contextmanager
def opened(tmp_path, files, first="/"):
    """A browser with the page ``first`` of ``files`` (path → text), and the site it came from. The
    page must be told to wait for with ``site.done``; errors of scripts are in ``site.errors`` when
    the page begins with :data:`TELL_ERRORS`.
    """
    site = Site(files)
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    browser = subprocess.Popen(
        [*command, f"--user-data-dir={tmp_path / 'profile'}", site.url + first],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield site
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
        site.close()


def told_by(tmp_path, files, first="/", seconds=60):
    """What the page told at its end; its scripts must not have failed."""
    with opened(tmp_path, files, first) as site:
        ended = site.done.wait(seconds)
    assert not site.errors, site.errors
    assert ended, "the page did not come to its end"
    return site.told
