"""An API over real projects and a real database, without a network: browsers of any address."""

from __future__ import annotations

import asyncio

from starlette.testclient import TestClient

import zuji
from zuji.server.accounts.book import list_accounts, make_account, set_password
from zuji.server.accounts.permissions import Role
from zuji.server.accounts.sessions import Sessions
from zuji.server.api import Api, make_api
from zuji.server.auth import KeyRing, make_key
from zuji.server.meta import open_store
from zuji.server.metrics import Metrics
from zuji.server.projects import Projects
from zuji.server.settings import Settings

PASSWORD = "rain on 7 tin roofs"


class Clock:
    """ms that a test sets."""

    def __init__(self):
        self.now = 1_790_000_000_000

    def __call__(self):
        return self.now


class Console:
    """A server with the project ``bank``; ``settings``: more of them."""

    def __init__(self, data, projects=("bank",), **settings):
        self.settings = Settings(data=str(data), **settings)
        for name in projects:
            zuji.open(data, name).close()
        self.store = open_store(str(data))
        self.loop = asyncio.new_event_loop()
        self.projects = Projects(self.settings, self.loop, self.store)
        self.projects.open_all()
        self.clock = Clock()
        idle, most = self.settings.session_idle, self.settings.session_most
        self.sessions = Sessions(self.store, idle, most, self.clock)
        self.keys = KeyRing(self.store, dev=self.settings.dev)
        self.api = Api(
            self.settings, self.projects, self.keys, Metrics(), self.store, self.sessions
        )
        self.api.ready = True
        self.app = make_api(self.api)

    def account(self, login, role="administrator", password=PASSWORD):
        """An account with a password of its own."""
        account, once = make_account(self.store, login, Role(role))
        if password is not None:
            set_password(self.store, account.id, once, password)
        return account, once

    def browser(self, base="https://bank.example", address="10.0.0.5"):
        """Nobody signed in."""
        return Browser(self.app, base, address)

    def signed_in(self, role="administrator", **where):
        """A browser of somebody with this role."""
        login = f"{role}-1"
        if not any(one.login == login for one in list_accounts(self.store)):
            self.account(login, role)
        browser = self.browser(**where)
        browser.sign_in(login)
        return browser

    def key(self, kind, project="bank"):
        """Headers with a new key."""
        return {"Authorization": f"Bearer {make_key(self.store, project, kind)[1]}"}

    def close(self):
        self.api.close()
        self.sessions.close()
        self.projects.close()
        self.store.close()
        self.loop.close()


class Browser:
    """Sends cookies, and ``X-Zuji-CSRF`` once it has signed in."""

    def __init__(self, app, base, address):
        self.client = TestClient(app, base_url=base, client=(address, 1), follow_redirects=False)
        self.csrf = None

    def ask(self, method, path, body=None, headers=None, **more):
        sent = {**({} if self.csrf is None else {"X-Zuji-CSRF": self.csrf}), **(headers or {})}
        if body is not None:
            more["json"] = body
        return self.client.request(method, path, headers=sent, **more)

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body, **more)

    def sign_in(self, login, password=PASSWORD):
        answer = self.ask("POST", "/v1/auth/sign-in", {"login": login, "password": password})
        assert answer.status_code == 200, answer.text
        self.csrf = answer.json()["csrf"]
        return answer


def code(answer):
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]
