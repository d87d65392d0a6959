"""Signing in: cookies, one-time passwords, lock-out, ends of sessions, and what is refused."""

from __future__ import annotations

import json
import logging
from http.cookies import SimpleCookie

import pytest
from sqlalchemy import select

from tests.server.signing import PASSWORD, Console, code
from zuji.server.accounts import book, passwords
from zuji.server.accounts.lockout import FREE, FREE_ADDRESS, Lockout
from zuji.server.errors import LockedOut
from zuji.server.meta import open_store
from zuji.server.meta.tables import FailureRow

QUERY = {
    "model": "event",
    "time": {"from": "-7d", "to": "today"},
    "body": {"series": [{"e": "pay"}]},
}


@pytest.fixture
def console(tmp_path):
    made = Console(tmp_path)
    yield made
    made.close()


def cookie_of(answer):
    """Name and morsel of the cookie that an answer sets."""
    (one,) = answer.headers.get_list("set-cookie")
    ((name, morsel),) = SimpleCookie(one).items()
    return name, morsel


def test_a_first_administrator_signs_in_once_with_what_was_printed_then_sets_a_password(console):
    account, once = book.first_administrator(console.store)
    assert (account.login, str(account.role)) == ("admin", "administrator")
    assert book.first_administrator(console.store) is None
    browser = console.browser()
    answer = browser.sign_in("admin", once)
    assert answer.json()["must_change"] is True
    me = browser.get("/v1/auth/me").json()
    assert me["must_change"] is True
    assert (me["permissions"], me["projects"]) == ([], [])
    assert code(browser.get("/v1/status?project=bank")) == (403, "must_change")
    changed = browser.post("/v1/auth/password", {"old": once, "new": PASSWORD})
    assert changed.status_code == 200
    browser.csrf = changed.json()["csrf"]
    me = browser.get("/v1/auth/me").json()
    assert me["account"] == {
        "id": account.id,
        "login": "admin",
        "name": "admin",
        "role": "administrator",
        "language": "zh",
    }
    assert "accounts" in me["permissions"]
    assert [one["name"] for one in me["projects"]] == ["bank"]
    assert me["must_change"] is False
    assert me["dev"] is False
    assert browser.post("/v1/query?project=bank", QUERY).status_code == 200
    other = console.browser()
    refused = other.post("/v1/auth/sign-in", {"login": "admin", "password": once})
    assert code(refused) == (401, "wrong_password")


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_networks(console):
    console.account("ann")
    name, morsel = cookie_of(console.browser().sign_in("ann"))
    assert name == "__Host-zuji"
    assert morsel["secure"]
    assert morsel["httponly"]
    assert (morsel["samesite"], morsel["path"], morsel["domain"]) == ("strict", "/", "")
    assert (morsel["max-age"], morsel["expires"]) == ("", "")
    assert len(morsel.value) >= 43  # 256 bits


def test_only_a_digest_of_the_cookie_is_stored(console, tmp_path):
    console.account("ann")
    browser = console.browser()
    _, morsel = cookie_of(browser.sign_in("ann"))
    console.store.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("server.db*"))
    assert morsel.value.encode() not in stored
    assert PASSWORD.encode() not in stored
    assert b"$argon2id$v=19$m=65536,t=3,p=4$" in stored


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("http://bank.example", "10.0.0.5"),
        ("http://127.0.0.1", "10.0.0.5"),  # the name of another's own machine
        ("http://bank.example", "127.0.0.1"),  # a proxy without TLS on this machine
        ("http://localhost.bank.example", "127.0.0.1"),
    ],
)
def test_nobody_signs_in_over_a_network_without_tls(console, base, address):
    console.account("ann")
    browser = console.browser(base, address)
    body = {"login": "ann", "password": PASSWORD}
    refused = browser.post("/v1/auth/sign-in", body)
    assert code(refused) == (403, "tls_needed")
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("host", ["127.0.0.1:8107", "localhost:8107", "[::1]:8107"])
def test_on_this_machine_no_tls_is_needed(console, host):
    console.account("ann")
    name, morsel = cookie_of(console.browser(f"http://{host}", "127.0.0.1").sign_in("ann"))
    assert name == "__Host-zuji"
    assert morsel["secure"]


def test_a_setting_lets_people_sign_in_without_tls(tmp_path):
    console = Console(tmp_path, insecure_cookie=True)
    console.account("ann")
    browser = console.browser("http://bank.example")
    name, morsel = cookie_of(browser.sign_in("ann"))
    assert name == "zuji"
    assert not morsel["secure"]
    assert morsel["httponly"]
    assert morsel["samesite"] == "strict"
    assert browser.get("/v1/auth/me").status_code == 200
    console.close()


def test_the_plain_cookie_counts_only_with_that_setting(console):
    console.account("ann")
    browser = console.browser()
    _, morsel = cookie_of(browser.sign_in("ann"))
    other = console.browser()
    other.client.cookies.set("zuji", morsel.value)
    assert code(other.get("/v1/auth/me")) == (401, "unauthorized")


def test_a_session_laid_out_for_somebody_is_not_theirs(console):
    """Fixation: the token changes at sign-in, and the one from before has ended."""
    console.account("ann")
    console.account("eve")
    eve = console.browser()
    _, laid = cookie_of(eve.sign_in("eve"))
    ann = console.browser()
    ann.client.cookies.set("__Host-zuji", laid.value)
    _, given = cookie_of(ann.sign_in("ann"))
    assert given.value != laid.value
    assert code(eve.get("/v1/auth/me")) == (401, "unauthorized")


# -- other sites ---------------------------------------------------------------------------------


def test_a_change_needs_the_secret_of_the_page(console):
    browser = console.signed_in()
    right = browser.csrf
    for wrong in (None, "", "0" * 64, right[:-1], right.upper() + "x", b"\xe9"):
        browser.csrf = wrong
        assert code(browser.post("/v1/query?project=bank", QUERY)) == (403, "cross_site"), wrong
        assert code(browser.post("/v1/auth/sign-out")) == (403, "cross_site")
    browser.csrf = right
    assert browser.post("/v1/query?project=bank", QUERY).status_code == 200
    browser.csrf = None
    assert browser.get("/v1/status?project=bank").status_code == 200  # nothing is changed


def test_the_secret_is_the_sessions_own(console):
    one, other = console.signed_in("analyst"), console.signed_in("viewer")
    one.csrf = other.csrf
    assert code(one.post("/v1/query?project=bank", QUERY)) == (403, "cross_site")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://bank.example.evil.example"},
        {"Origin": "https://bank.example:444"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(console, headers):
    browser = console.signed_in()
    answer = browser.post("/v1/query?project=bank", QUERY, headers=headers)
    assert code(answer) == (403, "cross_site")
    body = {"login": "administrator-1", "password": PASSWORD}
    answer = console.browser().post("/v1/auth/sign-in", body, headers=headers)
    assert code(answer) == (403, "cross_site")


def test_an_own_page_may(console):
    browser = console.signed_in()
    headers = {"Origin": "https://bank.example", "Sec-Fetch-Site": "same-origin"}
    assert browser.post("/v1/query?project=bank", QUERY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_form_of_another_page_signs_nobody_in(console, kind):
    console.account("ann")
    body = json.dumps({"login": "ann", "password": PASSWORD})
    answer = console.browser().client.post(
        "/v1/auth/sign-in", content=body, headers={"Content-Type": kind}
    )
    assert code(answer) == (403, "cross_site")


def test_answers_are_not_kept_by_anybody(console):
    browser = console.signed_in()
    for path in ("/v1/auth/me", "/v1/status?project=bank", "/v1/nothing"):
        assert browser.get(path).headers["cache-control"] == "no-store"


# -- guessing ------------------------------------------------------------------------------------


def test_guessing_is_locked_out_whether_or_not_there_is_such_a_login(console):
    console.account("ann")
    for login in ("ann", "nobody"):
        browser = console.browser(address="10.0.0.7")
        guess = {"login": login, "password": "a wrong guess"}
        texts = set()
        for _ in range(FREE):
            answer = browser.post("/v1/auth/sign-in", guess)
            assert code(answer) == (401, "wrong_password")
            texts.add(answer.text)
        assert len(texts) == 1
        answer = browser.post("/v1/auth/sign-in", {"login": login, "password": PASSWORD})
        assert code(answer) == (429, "locked_out")
        assert 1 <= int(answer.headers["retry-after"]) <= 30
    # somebody else, elsewhere, is not
    console.browser(address="10.0.0.8").sign_in("ann")


def test_an_unknown_login_is_as_much_work_as_a_known_one(console, monkeypatch):
    """Both are compared with a hash of the same parameters, once."""
    console.account("ann")
    console.account("bob")
    book.change_account(console.store, book.account_named(console.store, "bob").id, disabled=True)
    compared = []
    right = passwords._HASHER.verify

    class Spy:
        def verify(self, stored, password):
            compared.append(stored.rsplit("$", 2)[0])
            return right(stored, password)

        def check_needs_rehash(self, _stored):
            return False

        hash = staticmethod(passwords._HASHER.hash)

    passwords.prepare()
    monkeypatch.setattr(passwords, "_HASHER", Spy())
    answers = set()
    for login in ("ann", "nobody", "bob", "no such login!"):
        body = {"login": login, "password": "a wrong guess"}
        answers.add(console.browser().post("/v1/auth/sign-in", body).text)
    assert compared == ["$argon2id$v=19$m=65536,t=3,p=4"] * 4
    assert len(answers) == 1


def test_a_disabled_account_with_the_right_password_is_answered_as_a_wrong_one(console):
    account, _ = console.account("bob")
    console.account("ann")
    book.change_account(console.store, account.id, disabled=True)
    right = console.browser().post("/v1/auth/sign-in", {"login": "bob", "password": PASSWORD})
    wrong = console.browser().post("/v1/auth/sign-in", {"login": "bob", "password": "x" * 12})
    assert right.text == wrong.text
    assert code(right) == (401, "wrong_password")


def test_waiting_grows_ends_and_is_forgotten():
    now = [0.0]
    guard = Lockout(lambda: now[0])
    for _ in range(FREE):
        guard.begin("ann", "10.0.0.1")
    waits = []
    for _ in range(12):
        with pytest.raises(LockedOut) as locked:
            guard.begin("ann", "10.0.0.1")
        waits.append(locked.value.retry_after)
        now[0] += locked.value.retry_after
        guard.begin("ann", "10.0.0.1")
    assert waits[:3] == [30.0, 60.0, 120.0]
    assert waits == sorted(waits)
    assert max(waits) == 3600.0
    now[0] += 25 * 3600
    for _ in range(FREE):
        guard.begin("ann", "10.0.0.1")


def test_a_burst_of_guesses_at_once_is_counted_before_any_is_answered():
    guard = Lockout(lambda: 0.0)
    begun = 0
    for _ in range(100):
        try:
            guard.begin("ann", "10.0.0.1")
        except LockedOut:
            continue
        begun += 1
    assert begun == FREE


def test_an_address_that_tries_many_logins_waits_too():
    guard = Lockout(lambda: 0.0)
    for number in range(FREE_ADDRESS):
        guard.begin(f"user-{number}", "2001:db8::1")
    with pytest.raises(LockedOut):
        guard.begin("one more", "2001:db8::ffff")  # the same customer's network
    guard.begin("one more", "2001:db8:0:1::1")


def test_a_restart_forgets_no_failure(tmp_path):
    store = open_store(str(tmp_path))
    now = [1_790_000_000.0]
    guard = Lockout(lambda: now[0], store)
    for _ in range(FREE):
        guard.begin("a password, typed into the wrong field", "10.0.0.1")
    guard.begin("ann", "10.0.0.1")
    guard.succeeded("ann", "10.0.0.1")
    guard.close()
    with store.session() as session:
        kept = session.scalars(select(FailureRow)).all()
        assert sorted(row.count for row in kept) == [FREE, FREE]  # the login's, the address's
        assert not any("password" in row.digest for row in kept)

    guard = Lockout(lambda: now[0], store)
    with pytest.raises(LockedOut) as locked:
        guard.begin("a password, typed into the wrong field", "10.0.0.1")
    assert locked.value.retry_after == 30.0
    now[0] -= 7 * 86_400  # the clock was set back
    with pytest.raises(LockedOut) as locked:
        guard.begin("a password, typed into the wrong field", "10.0.0.1")
    assert locked.value.retry_after <= 3600.0
    now[0] += 9 * 86_400  # two days after: forgotten
    guard.close()

    guard = Lockout(lambda: now[0], store)
    guard.begin("ann", "10.0.0.1")
    guard.close()
    with store.session() as session:
        assert [row.count for row in session.scalars(select(FailureRow))] == [1, 1]
    store.close()


def test_success_starts_the_count_again():
    guard = Lockout(lambda: 0.0)
    for _ in range(FREE_ADDRESS * 2):
        guard.begin("ann", "10.0.0.1")
        guard.succeeded("ann", "10.0.0.1")


# -- ends ----------------------------------------------------------------------------------------


def test_a_session_ends_when_nobody_uses_it(console):
    browser = console.signed_in()
    for _ in range(3):
        console.clock.now += 7_100_000
        assert browser.get("/v1/auth/me").status_code == 200
    console.clock.now += 7_300_000
    assert code(browser.get("/v1/auth/me")) == (401, "unauthorized")


def test_a_session_ends_whatever_happens(console):
    browser = console.signed_in()
    for _ in range(12):
        console.clock.now += 3_600_000
        assert browser.get("/v1/auth/me").status_code == 200
    console.clock.now += 1000
    assert code(browser.get("/v1/auth/me")) == (401, "unauthorized")


def test_signing_out_ends_the_session_and_not_only_the_cookie(console):
    browser = console.signed_in()
    token = browser.client.cookies["__Host-zuji"]
    answer = browser.post("/v1/auth/sign-out")
    assert answer.status_code == 200
    assert "__Host-zuji" not in browser.client.cookies
    thief = console.browser()
    thief.client.cookies.set("__Host-zuji", token)
    assert code(thief.get("/v1/auth/me")) == (401, "unauthorized")
    assert console.browser().post("/v1/auth/sign-out").status_code == 200


def test_sign_out_everywhere_ends_all_of_ones_own(console):
    one, other = console.signed_in("analyst"), console.signed_in("analyst")
    stranger = console.signed_in("viewer")
    assert one.post("/v1/auth/sign-out-everywhere").status_code == 200
    assert code(other.get("/v1/auth/me")) == (401, "unauthorized")
    assert code(one.get("/v1/auth/me")) == (401, "unauthorized")
    assert stranger.get("/v1/auth/me").status_code == 200


def test_a_new_password_ends_the_other_sessions_and_renews_this_one(console):
    one, other = console.signed_in("analyst"), console.signed_in("analyst")
    before = one.client.cookies["__Host-zuji"]
    body = {"old": PASSWORD, "new": "another one, of 2026"}
    answer = one.post("/v1/auth/password", body)
    assert answer.status_code == 200
    assert one.client.cookies["__Host-zuji"] != before
    one.csrf = answer.json()["csrf"]
    assert one.get("/v1/auth/me").status_code == 200
    assert code(other.get("/v1/auth/me")) == (401, "unauthorized")
    thief = console.browser()
    thief.client.cookies.set("__Host-zuji", before)
    assert code(thief.get("/v1/auth/me")) == (401, "unauthorized")


def test_what_another_process_ends_has_ended_here(console, tmp_path):
    browser = console.signed_in("analyst")
    assert browser.get("/v1/auth/me").status_code == 200
    console.account("boss")
    other = book.account_named(console.store, "analyst-1")
    book.reset_password(console.store, other.id)
    console.sessions._looked = float("-inf")  # LOOK_S later
    assert code(browser.get("/v1/auth/me")) == (401, "unauthorized")


def test_sessions_outlive_a_restart(tmp_path):
    console = Console(tmp_path)
    browser = console.signed_in()
    token = browser.client.cookies["__Host-zuji"]
    console.close()
    again = Console(tmp_path)
    other = again.browser()
    other.client.cookies.set("__Host-zuji", token)
    assert other.get("/v1/auth/me").status_code == 200
    again.close()


# -- nonsense ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"login": 1, "password": "x"}',
        b'{"login": "ann"}',
        b'{"login": "ann", "password": "x", "admin": true}',
        b'{"login": "ann", "password": "\xff"}',
        b'{"login": "ann", "password": ' + b'"' + b"x" * 20_000 + b'"}',
    ],
)
def test_nonsense_is_refused_without_repeating_it(console, body):
    answer = console.browser().client.post(
        "/v1/auth/sign-in", content=body, headers={"Content-Type": "application/json"}
    )
    assert code(answer) == (400, "invalid_input")
    assert "xxx" not in answer.text


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 5000, "../..", "__Host-zuji"])
def test_nonsense_as_a_cookie_is_nobody(console, token):
    browser = console.browser()
    headers = {"Cookie": f"__Host-zuji={token}".encode()}
    assert code(browser.get("/v1/auth/me", headers=headers)) == (401, "unauthorized")


@pytest.mark.parametrize(
    "new",
    ["", "short", "a" * 60, "ababababab", "x" * 201, "analyst-1", "analyst-1!", PASSWORD],
)
def test_a_password_that_will_not_do(console, new):
    browser = console.signed_in("analyst")
    answer = browser.post("/v1/auth/password", {"old": PASSWORD, "new": new})
    assert code(answer) == (400, "invalid_input")
    assert not new or new == "analyst-1" or new not in answer.text


def test_the_old_password_cannot_be_guessed_by_whoever_found_a_browser(console):
    browser = console.signed_in("analyst")
    body = {"old": "not the password", "new": "another one, of 2026"}
    for _ in range(FREE):
        assert code(browser.post("/v1/auth/password", body)) == (401, "wrong_password")
    assert code(browser.post("/v1/auth/password", body)) == (429, "locked_out")


def test_passwords_are_what_people_see_not_how_they_were_typed(console):
    console.account("ann", password="ｒａｉｎ on 7 tin roofs")
    console.browser().sign_in("ＡＮＮ ", "rain on 7 tin roofs")


def test_a_session_may_not_see_another_project_by_a_path(console, tmp_path):
    browser = console.signed_in()
    for name in ("../bank", "bank/../bank", "", ".", "%2e%2e", "bank\0", "nothing"):
        answer = browser.get("/v1/status", params={"project": name})
        assert answer.status_code == 404, name


def test_with_several_projects_one_is_named(tmp_path):
    console = Console(tmp_path, projects=("bank", "shop"))
    browser = console.signed_in()
    assert code(browser.get("/v1/status")) == (400, "invalid_input")
    assert browser.get("/v1/status?project=shop").status_code == 200
    console.close()


def test_the_log_has_who_signed_in_and_no_password(console, caplog):
    caplog.set_level(logging.DEBUG)
    console.account("ann")
    console.browser().sign_in("ann")
    wrong = {"login": "my-password-in-the-wrong-field", "password": "another-wrong-guess"}
    console.browser().post("/v1/auth/sign-in", wrong)
    text = caplog.text
    assert "login=ann" in text
    assert "sign-in refused address=10.0.0.5" in text
    for secret in (PASSWORD, *wrong.values()):
        assert secret not in text


# -- development mode ----------------------------------------------------------------------------


def test_in_development_mode_everybody_on_this_machine_is_an_administrator(tmp_path):
    console = Console(tmp_path, dev=True)
    browser = console.browser("http://127.0.0.1:8107", "127.0.0.1")
    me = browser.get("/v1/auth/me").json()
    assert me["dev"] is True
    assert me["account"]["login"] == "dev"
    assert "accounts" in me["permissions"]
    assert browser.post("/v1/auth/sign-in", {}).json()["account"]["login"] == "dev"
    assert browser.post("/v1/query?project=bank", QUERY).status_code == 200
    console.close()


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_in_development_mode_too_pages_of_other_sites_change_nothing(tmp_path, headers):
    console = Console(tmp_path, dev=True)
    browser = console.browser("http://127.0.0.1:8107", "127.0.0.1")
    answer = browser.post("/v1/query?project=bank", QUERY, headers=headers)
    assert code(answer) == (403, "cross_site")
    console.close()


def test_in_development_mode_a_name_of_the_internet_that_leads_here_is_refused(tmp_path):
    """DNS rebinding: the page's own name, now with the address 127.0.0.1."""
    console = Console(tmp_path, dev=True)
    browser = console.browser("http://evil.example:8107", "127.0.0.1")
    for path in ("/v1/status?project=bank", "/v1/auth/me"):
        assert code(browser.get(path)) == (403, "cross_site")
    console.close()
