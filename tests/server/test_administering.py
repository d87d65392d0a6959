"""Accounts, projects and keys over the API."""

from __future__ import annotations

import logging

import pytest

from tests.server.signing import PASSWORD, Console, code


@pytest.fixture
def console(tmp_path):
    made = Console(tmp_path)
    yield made
    made.close()


@pytest.fixture
def boss(console):
    return console.signed_in("administrator")


def test_an_account_is_made_with_a_password_that_is_told_once(console, boss, caplog):
    caplog.set_level(logging.DEBUG)
    made = boss.post("/v1/accounts", {"login": " Lin.Wei@bank ", "role": "analyst", "name": "林薇"})
    assert made.status_code == 200
    once = made.json()["password"]
    account = made.json()["account"]
    assert account["login"] == "lin.wei@bank"
    assert account["must_change"] is True
    listed = boss.get("/v1/accounts")
    assert [one["login"] for one in listed.json()["accounts"]] == [
        "administrator-1",
        "lin.wei@bank",
    ]
    assert once not in listed.text
    assert "$argon2" not in listed.text
    assert once not in caplog.text
    browser = console.browser()
    assert browser.sign_in("lin.wei@bank", once).json()["must_change"] is True
    again = boss.post("/v1/accounts", {"login": "LIN.WEI@bank"})
    assert code(again) == (409, "conflict")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"login": ""},
        {"login": "a b"},
        {"login": "a/b"},
        {"login": "x" * 65},
        {"login": "ann", "role": "root"},
        {"login": "ann", "language": "fr"},
        {"login": "ann", "name": "a\nb"},
        {"login": "ann", "name": "x" * 81},
        {"login": "ann", "password": "of my own"},
        [],
    ],
)
def test_an_account_that_will_not_do(boss, body):
    assert code(boss.post("/v1/accounts", body)) == (400, "invalid_input")


def test_a_role_counts_with_the_next_request(console, boss):
    other = console.signed_in("viewer")
    name = other.get("/v1/auth/me").json()["account"]["id"]
    board = {"name": "mine"}
    assert code(other.post("/v1/boards?project=bank", board)) == (403, "forbidden")
    assert boss.ask("PATCH", f"/v1/accounts/{name}", {"role": "analyst"}).status_code == 200
    assert other.post("/v1/boards?project=bank", board).status_code == 200


def test_disabling_ends_sessions_and_enabling_does_not_bring_them_back(console, boss):
    other = console.signed_in("viewer")
    path = f"/v1/accounts/{other.get('/v1/auth/me').json()['account']['id']}"
    assert boss.ask("PATCH", path, {"disabled": True}).json()["account"]["disabled"] is True
    assert code(other.get("/v1/auth/me")) == (401, "unauthorized")
    assert boss.ask("PATCH", path, {"disabled": False}).status_code == 200
    assert code(other.get("/v1/auth/me")) == (401, "unauthorized")
    other.sign_in("viewer-1")


def test_a_new_password_is_made_for_who_forgot_theirs(console, boss):
    other = console.signed_in("viewer")
    path = f"/v1/accounts/{other.get('/v1/auth/me').json()['account']['id']}"
    answer = boss.ask("PATCH", path, {"new_password": True}).json()
    assert answer["account"]["must_change"] is True
    assert code(other.get("/v1/auth/me")) == (401, "unauthorized")
    refused = console.browser().post(
        "/v1/auth/sign-in", {"login": "viewer-1", "password": PASSWORD}
    )
    assert code(refused) == (401, "wrong_password")
    console.browser().sign_in("viewer-1", answer["password"])


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "analyst"}])
def test_there_is_always_an_administrator(console, boss, change):
    mine = f"/v1/accounts/{boss.get('/v1/auth/me').json()['account']['id']}"
    assert code(boss.ask("PATCH", mine, change)) == (400, "invalid_input")
    console.account("second")
    assert boss.ask("PATCH", mine, change).status_code == 200


def test_an_account_that_is_not_there(boss):
    assert code(boss.ask("PATCH", "/v1/accounts/nobody", {"name": "x"})) == (404, "not_found")
    assert code(boss.ask("PATCH", "/v1/accounts/nobody", {"id": "x"})) == (400, "invalid_input")


def test_ones_own_name_and_language_but_not_ones_role(console):
    browser = console.signed_in("viewer")
    answer = browser.ask("PATCH", "/v1/auth/me", {"name": "王芳", "language": "en"})
    assert answer.json()["account"]["name"] == "王芳"
    assert browser.get("/v1/auth/me").json()["account"]["language"] == "en"
    refused = browser.ask("PATCH", "/v1/auth/me", {"role": "administrator"})
    assert code(refused) == (400, "invalid_input")


def test_a_project_is_made_with_its_boards(console, boss):
    made = boss.post("/v1/projects", {"name": "shop", "tz": "Europe/Berlin"})
    assert made.json() == {"name": "shop", "tz": "Europe/Berlin"}
    listed = boss.get("/v1/projects").json()["projects"]
    assert listed == [{"name": "bank", "tz": "Asia/Shanghai"}, made.json()]
    assert boss.get("/v1/status?project=shop").json()["tz"] == "Europe/Berlin"
    boards = boss.get("/v1/boards?project=shop").json()["boards"]
    assert len(boards) == 2
    assert boss.get("/v1/boards?project=bank").json()["boards"] == []
    key = console.key("read")
    assert console.browser().get("/v1/projects", headers=key).json()["projects"] == listed[:1]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "../up"},
        {"name": "a/b"},
        {"name": "."},
        {"name": "x" * 65},
        {"name": "bank"},
        {"name": "new", "tz": "Mars/Olympus"},
        {"name": "new", "tz": "../../etc/passwd"},
        {"name": "new", "tz": ""},
    ],
)
def test_a_project_that_will_not_do(boss, body, tmp_path):
    before = sorted(path.name for path in tmp_path.parent.rglob("*"))
    assert code(boss.post("/v1/projects", body)) == (400, "invalid_input")
    assert sorted(path.name for path in tmp_path.parent.rglob("*")) == before


def test_a_key_is_told_once_and_works_until_it_is_taken_back(console, boss):
    made = boss.post("/v1/keys?project=bank", {"kind": "read", "note": "for the till"})
    text, key = made.json()["text"], made.json()["key"]
    listed = boss.get("/v1/keys?project=bank")
    assert [one["id"] for one in listed.json()["keys"]] == [key["id"]]
    assert text not in listed.text
    headers = {"Authorization": f"Bearer {text}"}
    browser = console.browser()
    assert browser.get("/v1/status", headers=headers).status_code == 200
    assert boss.ask("DELETE", f"/v1/keys/{key['id']}?project=bank").status_code == 200
    console.keys._looked = float("-inf")  # LOOK_S later
    assert code(browser.get("/v1/status", headers=headers)) == (401, "unauthorized")


def test_a_key_of_another_project_is_not_there(console, boss):
    boss.post("/v1/projects", {"name": "shop"})
    key = boss.post("/v1/keys?project=shop", {"kind": "read"}).json()["key"]["id"]
    for name in (key, "nothing", "../x"):
        answer = boss.ask("DELETE", f"/v1/keys/{name}?project=bank")
        assert code(answer) == (404, "not_found")
    assert boss.get("/v1/keys?project=shop").json()["keys"][0]["revoked_ms"] is None
