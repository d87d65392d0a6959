"""Every route by every role and kind of key: a table says who may, and knows every route."""

from __future__ import annotations

import pytest

from tests.server.signing import Console, code
from zuji.server.accounts.permissions import ACTIONS, OF_KEYS, Action, Role, may
from zuji.server.auth import Kind

ASK, SAVE, GROUP, ITEMS = Action.ASK, Action.SAVE, Action.GROUP, Action.ITEMS
NEEDS = {
    ("POST", "/v1/query"): ASK,
    ("POST", "/v1/query/users"): ASK,
    ("POST", "/v1/query/explain"): ASK,
    ("POST", "/v1/sql"): ASK,
    ("GET", "/v1/users/timeline"): ASK,
    ("POST", "/v1/users/timeline"): ASK,
    ("GET", "/v1/users/profile"): ASK,
    ("GET", "/v1/schema"): ASK,
    ("GET", "/v1/status"): ASK,
    ("GET", "/v1/values"): ASK,
    ("GET", "/v1/events/sample"): ASK,
    ("GET", "/v1/definitions"): ASK,
    ("PATCH", "/v1/definitions"): Action.DEFINE,
    ("DELETE", "/v1/definitions"): Action.DEFINE,
    ("GET", "/v1/items"): ASK,
    ("GET", "/v1/items/{type}"): ASK,
    ("PATCH", "/v1/items/{type}"): ITEMS,
    ("DELETE", "/v1/items/{type}"): ITEMS,
    ("GET", "/v1/joins"): ASK,
    ("PATCH", "/v1/joins"): ITEMS,
    ("DELETE", "/v1/joins"): ITEMS,
    ("GET", "/v1/tags"): ASK,
    ("PUT", "/v1/tags"): GROUP,
    ("GET", "/v1/graph"): ASK,
    ("POST", "/v1/tags/refresh"): GROUP,
    ("GET", "/v1/users/tags"): ASK,
    ("GET", "/v1/tags/{name}"): ASK,
    ("DELETE", "/v1/tags/{name}"): GROUP,
    ("GET", "/v1/tags/{name}/values"): ASK,
    ("GET", "/v1/tags/{name}/history"): ASK,
    ("POST", "/v1/tags/{name}/give"): GROUP,
    ("POST", "/v1/tags/{name}/load"): GROUP,
    ("POST", "/v1/tags/{name}/archive"): GROUP,
    ("GET", "/v1/cohorts"): ASK,
    ("PUT", "/v1/cohorts"): GROUP,
    ("POST", "/v1/cohorts/estimate"): ASK,
    ("POST", "/v1/cohorts/refresh"): GROUP,
    ("POST", "/v1/cohorts/save"): GROUP,
    ("POST", "/v1/cohorts/overlap"): ASK,
    ("GET", "/v1/cohorts/{name}"): ASK,
    ("DELETE", "/v1/cohorts/{name}"): GROUP,
    ("GET", "/v1/cohorts/{name}/members"): ASK,
    ("GET", "/v1/cohorts/{name}/export"): ASK,
    ("GET", "/v1/cohorts/{name}/contains"): ASK,
    ("POST", "/v1/cohorts/{name}/load"): GROUP,
    ("GET", "/v1/plan"): ASK,
    ("PUT", "/v1/plan"): Action.PLAN,
    ("GET", "/v1/plan/history"): ASK,
    ("GET", "/v1/quality"): ASK,
    ("GET", "/v1/rejected"): ASK,
    ("DELETE", "/v1/rejected"): Action.QUARANTINE,
    ("POST", "/v1/rejected/replay"): Action.QUARANTINE,
    ("GET", "/v1/erasures"): Action.PEOPLE,
    ("POST", "/v1/erasures"): Action.PEOPLE,
    ("POST", "/v1/erasures/purge"): Action.PEOPLE,
    ("GET", "/v1/erasures/ledger"): Action.PEOPLE,
    ("POST", "/v1/erasures/replay"): Action.PEOPLE,
    ("GET", "/v1/erasures/settings"): Action.PEOPLE,
    ("PUT", "/v1/erasures/settings"): Action.PEOPLE,
    ("POST", "/v1/users/export"): Action.PEOPLE,
    ("GET", "/v1/ttl"): Action.PEOPLE,
    ("PUT", "/v1/ttl"): Action.PEOPLE,
    ("POST", "/v1/ttl/apply"): Action.PEOPLE,
    ("GET", "/v1/identity"): ASK,
    ("POST", "/v1/identity"): Action.IDENTITY,
    ("GET", "/v1/identity/log"): ASK,
    ("GET", "/v1/identity/conflicts"): ASK,
    ("GET", "/v1/identity/settings"): ASK,
    ("PUT", "/v1/identity/settings"): Action.IDENTITY,
    ("GET", "/v1/live"): ASK,
    ("GET", "/v1/accounts"): Action.ACCOUNTS,
    ("POST", "/v1/accounts"): Action.ACCOUNTS,
    ("PATCH", "/v1/accounts/{id}"): Action.ACCOUNTS,
    ("GET", "/v1/projects"): ASK,
    ("POST", "/v1/projects"): Action.PROJECTS,
    ("GET", "/v1/keys"): Action.KEYS,
    ("POST", "/v1/keys"): Action.KEYS,
    ("DELETE", "/v1/keys/{id}"): Action.KEYS,
    ("GET", "/v1/saved"): ASK,
    ("POST", "/v1/saved"): SAVE,
    ("GET", "/v1/saved/{id}"): ASK,
    ("PUT", "/v1/saved/{id}"): SAVE,
    ("DELETE", "/v1/saved/{id}"): SAVE,
    ("GET", "/v1/saved/{id}/versions"): ASK,
    ("POST", "/v1/saved/{id}/versions/{n}/restore"): SAVE,
    ("GET", "/v1/boards"): ASK,
    ("POST", "/v1/boards"): SAVE,
    ("GET", "/v1/boards/{id}"): ASK,
    ("PUT", "/v1/boards/{id}"): SAVE,
    ("DELETE", "/v1/boards/{id}"): SAVE,
    ("GET", "/v1/board-templates"): ASK,
    ("POST", "/v1/board-templates/{name}"): SAVE,
}
ENDLESS = {"/v1/live"}
OPEN = {"/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/start.js", "/docs/static"}
OWN = "/v1/auth/"
"""What is one's own: whoever is signed in."""


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    made = Console(tmp_path_factory.mktemp("data"))
    yield made
    made.close()


def asked(console):
    """Method and path of every route."""
    return {
        (method, route.path)
        for route in console.api.routes()
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD"
    }


def filled(path):
    """The path with nonsense in place of names."""
    for name in ("{type}", "{name}", "{id}"):
        path = path.replace(name, "nothing")
    return path.replace("{n}", "1") + "?project=bank"


def test_the_table_knows_every_route(console):
    there = {(m, p) for m, p in asked(console) if p not in OPEN and not p.startswith(OWN)}
    assert there == set(NEEDS)


@pytest.mark.parametrize("role", list(Role))
def test_every_route_by_every_role(console, role):
    browser = console.signed_in(str(role))
    for (method, path), need in NEEDS.items():
        if path in ENDLESS:
            continue
        answer = browser.ask(method, filled(path), {})
        refused = answer.status_code in (401, 403)
        assert refused is (need not in ACTIONS[role]), (method, path, answer.text)
        if refused:
            assert code(answer) == (403, "forbidden")
            assert "administrator" in answer.text or "analyst" in answer.text


@pytest.mark.parametrize("kind", list(Kind))
def test_every_route_by_every_kind_of_key(console, kind):
    browser, headers = console.browser(), console.key(kind)
    for (method, path), need in NEEDS.items():
        if path in ENDLESS:
            continue
        answer = browser.ask(method, filled(path), {}, headers=headers)
        refused = answer.status_code in (401, 403)
        assert refused is (need not in OF_KEYS[kind]), (method, path, answer.text)
        assert not refused or code(answer) == (403, "forbidden")


def test_nobody_gets_nothing(console):
    browser = console.browser()
    for method, path in sorted(asked(console)):
        if path in OPEN or path == "/v1/auth/sign-out":
            continue
        answer = browser.ask(method, filled(path), {})
        wanted = (400, "invalid_input") if path == "/v1/auth/sign-in" else (401, "unauthorized")
        if path == "/v1/auth/me" and method == "PATCH":
            wanted = (401, "unauthorized")
        assert code(answer) == wanted, (method, path)


def test_every_change_by_cookie_needs_the_secret_of_the_page(console):
    browser = console.signed_in("administrator")
    browser.csrf = None
    for method, path in sorted(asked(console)):
        if method == "GET" or path == "/v1/auth/sign-in":
            continue
        assert code(browser.ask(method, filled(path), {})) == (403, "cross_site"), (method, path)
    assert browser.get("/v1/auth/me").status_code == 200


def test_whoever_has_a_one_time_password_may_only_change_it(console):
    _, once = console.account("new", password=None)
    browser = console.browser()
    browser.sign_in("new", once)
    for method, path in NEEDS:
        if path not in ENDLESS:
            answer = browser.ask(method, filled(path), {})
            assert code(answer) == (403, "must_change"), (method, path)


def test_roles_grow(console):
    viewer, analyst, administrator = (ACTIONS[role] for role in reversed(Role))
    assert viewer < analyst < administrator == set(Action)


def test_one_function_decides():
    class Somebody:
        role = Role.ANALYST

    assert may(Somebody, Action.SAVE, "bank")
    assert not may(Somebody, Action.ACCOUNTS, None)
