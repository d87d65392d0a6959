"""An API over real projects and a real database, without a network: browsers of any address."""

from __future__ import annotations

import asyncio
from functools import cache

from starlette.testclient import TestClient

import zuji
from zuji.server.accounts.book import list_accounts, make_account, of_row, random_id
from zuji.server.accounts.passwords import hashed
from zuji.server.accounts.permissions import Role
from zuji.server.accounts.sessions import Sessions, csrf_of
from zuji.server.api import Api, make_api
from zuji.server.auth import KeyRing, make_key
from zuji.server.meta import open_store
from zuji.server.meta.tables import AccountRow
from zuji.server.metrics import Metrics
from zuji.server.projects import Projects
from zuji.server.settings import Settings

PASSWORD = "rain on 7 tin roofs"


@cache
def stored(password):
    """Its hash: each takes a part of a second."""
    return hashed(password)


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
        """An account with a password of its own; None: with a one-time password, the second one."""
        if password is None:
            return make_account(self.store, login, Role(role))
        row = AccountRow(
            id=random_id(),
            login=login,
            name=login,
            role=role,
            language="zh",
            password=stored(password),
            must_change=False,
            disabled=False,
            created_ms=1,
        )
        with self.store.session() as session:
            session.add(row)
            session.flush()
            return of_row(row), password

    def browser(self, base="https://bank.example", address="10.0.0.5"):
        """Nobody signed in."""
        return Browser(self.app, base, address)

    def signed_in(self, role="administrator", **where):
        """A browser of somebody with this role, whose session was begun without a password."""
        login = f"{role}-1"
        there = [one for one in list_accounts(self.store) if one.login == login]
        account = there[0] if there else self.account(login, role)[0]
        browser = self.browser(**where)
        token = self.sessions.start(account)
        browser.client.cookies.set("__Host-zuji", token, domain="bank.example")
        browser.csrf = csrf_of(token)
        return browser

    def key(self, kind, project="bank"):
        """Headers with a new key."""
        text = make_key(self.store, project, kind)[1]
        self.keys._looked = float("-inf")  # LOOK_S later
        return {"Authorization": f"Bearer {text}"}

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
