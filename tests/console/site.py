"""A server with the console, accounts of the three roles and the bank's data, in a process of its
own; and who visits it: pages of Chromium that note whatever a page should not do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import urllib.request
from contextlib import suppress

import zuji
from tests import warm
from tests.console import bank
from tests.serving import ENVIRONMENT
from zuji.server.accounts.book import make_account, set_password
from zuji.server.accounts.permissions import Role
from zuji.server.auth import Kind, make_key
from zuji.server.meta import open_store

PASSWORD = "rain on 7 tin roofs"
ROLES = {"zhang": Role.ADMINISTRATOR, "li": Role.ANALYST, "wang": Role.VIEWER}
ADMINISTRATOR, ANALYST, VIEWER = ROLES


class Site:
    """The server. ``url``: of the console and the API; ``collector``; keys ``write``, ``admin``."""

    def __init__(self, data):
        self.data = data
        zuji.open(data, bank.PROJECT).close()
        store = open_store(str(data))
        _, self.write = make_key(store, bank.PROJECT, Kind.WRITE, "tests")
        _, self.admin = make_key(store, bank.PROJECT, Kind.ADMIN, "tests")
        for login, role in ROLES.items():
            account, once = make_account(store, login, role, name=login)
            set_password(store, account.id, once, PASSWORD)
        store.close()
        self.url = self.collector = ""
        self.log = []
        self._process = None

    def start(self):
        command = ["serve", "--data", self.data]
        self._process = warm.Started(
            [*command, "--collect", "127.0.0.1:0", "--api", "127.0.0.1:0"],
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
        )
        for line in self._process.stderr:
            self.log.append(line)
            if line.startswith("zuji: events at "):
                self.collector = line.split()[3].rstrip(",")
            if line.startswith("zuji: queries at "):
                self.url = line.split()[3].rstrip(",")
            if " serving " in line:
                break
        else:
            raise AssertionError("".join(self.log))
        threading.Thread(target=self.log.extend, args=(self._process.stderr,), daemon=True).start()
        bank.fill(self.collector, self.url, self.write, self.admin)

    def stop(self):
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None

    def ask(self, path, body=None, method=None):
        """The API's answer, by the admin key."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.admin}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def query(self, document):
        """Rows of a query as dictionaries."""
        answer = self.ask("/v1/query", document)
        names = [column["name"] for column in answer["columns"]]
        return [dict(zip(names, row, strict=True)) for row in answer["rows"]]


class Visitor:
    """Somebody signed in, in a browser of their own. ``wrong``: what pages did that they should
    not: errors on the console, requests to elsewhere, breaches of the policy. ``expected``: parts
    of such lines that a test means to see.
    """

    def __init__(self, browser, site, login="", language="zh", width=1440, dark=False, axe=""):
        self.site = site
        self.wrong = []
        self.expected = []
        self.context = browser.new_context(
            base_url=site.url,
            viewport={"width": width, "height": 900},
            locale="zh-CN" if language == "zh" else "en-GB",
            timezone_id="Asia/Shanghai",
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            accept_downloads=True,
        )
        self.context.set_default_timeout(30_000)
        self.context.add_init_script(_LISTEN % json.dumps(language))
        if axe:
            self.context.add_init_script(axe)
        if login:
            self.sign_in(login)
        self.page = self.context.new_page()
        self._watch(self.page)

    def sign_in(self, login):
        """By the API: the form has tests of its own."""
        answer = self.context.request.post(
            "/v1/auth/sign-in", data={"login": login, "password": PASSWORD}
        )
        assert answer.ok, answer.text()

    def open(self, path):
        """Opens an address of the bank's project and waits until the page is quiet."""
        mark = "&" if "?" in path else "?"
        hash_at = path.find("#")
        path, after = (path, "") if hash_at < 0 else (path[:hash_at], path[hash_at:])
        self.page.goto(f"{path}{mark}project={bank.PROJECT}{after}")
        self.settle()
        return self.page

    def settle(self):
        """Waits until nothing is on its way any more."""
        self.page.wait_for_load_state("networkidle")
        self.page.locator("#main, main").first.wait_for()

    def breaches(self):
        """Breaches of the policy so far, and what else was wrong."""
        with suppress(Exception):  # the page is away
            self.wrong += self.page.evaluate("() => (window.breaches || []).splice(0)")
        return [one for one in self.wrong if not any(part in one for part in self.expected)]

    def close(self):
        found = self.breaches()
        self.context.close()
        return found

    def _watch(self, page):
        page.on("console", lambda said: said.type == "error" and self._note("console", said.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("request", self._request)

    def _note(self, kind, text):
        self.wrong.append(f"{kind}: {text}")

    def _request(self, request):
        if not request.url.startswith((self.site.url, "data:", "blob:", "about:")):
            self._note("elsewhere", request.url)


_LISTEN = """
if (!localStorage.getItem('zuji.language')) localStorage.setItem('zuji.language', %s)
window.breaches = []
document.addEventListener('securitypolicyviolation', (event) =>
  window.breaches.push('policy: ' + event.violatedDirective + ' ' + event.blockedURI))
"""


def chromium():
    """Debian's Chromium, or what CHROMIUM names; None when there is none."""
    import shutil

    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
