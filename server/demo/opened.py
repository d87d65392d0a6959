"""The end of ``zuji demo``: a server on the demo's data until Ctrl-C, and how to sign in.

The ports are those of ``zuji serve``, or others when these are taken. As long as nobody set a
password, each run makes a new one-time password: the last one may have scrolled away.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from rich.text import Text

from zuji.server.accounts.book import (
    FIRST_LOGIN,
    first_administrator,
    list_accounts,
    reset_password,
)
from zuji.server.cli.accounting import own_language
from zuji.server.cli.opening import database_of, reading
from zuji.server.demo.show import PROJECT
from zuji.server.library import boards, templates
from zuji.server.serve import serve
from zuji.server.settings import Settings, address, load
from zuji.server.terminal import console

if TYPE_CHECKING:
    from pathlib import Path


def run(data: Path) -> None:
    """Serves until Ctrl-C.

    :raises InvalidInput: a setting in the environment cannot be used.
    """
    settings = load({"data": str(data)})
    settings = load(
        {"data": str(data), "log_level": "warning"},
        said=[f"{name}={_free(getattr(settings, name))}" for name in ("collect", "api")],
    )
    password = _prepare(data, settings)
    out = console()

    def started(addresses: dict[str, str]) -> None:
        out.print(Text(f"The console: {addresses['api']}", style="bold"))
        if password is not None:
            out.print(Text(f"  login {FIRST_LOGIN}, one-time password {password}"))
        else:
            out.print(
                Text(
                    f"  sign in with the password that you set (lost? zuji account password "
                    f"{FIRST_LOGIN} --data {data})"
                )
            )
        out.print(Text(f"  the API's own page: {addresses['api']}/docs; Ctrl-C ends it", "dim"))

    serve(settings, started)


def _prepare(data: Path, settings: Settings) -> str | None:
    """Makes boards and the first account; the one-time password, None when one was set."""
    with database_of(data, settings.database) as store:
        if not boards.listed(store, PROJECT):
            with reading(data, PROJECT) as engine:
                templates.make_all(
                    store, PROJECT, own_language(), engine.events(), tz=engine.status()["tz"]
                )
        made = first_administrator(store)
        if made is not None:
            return made[1]
        for account in list_accounts(store):
            if account.login == FIRST_LOGIN and account.must_change and not account.disabled:
                return reset_password(store, account.id)[1]
    return None


def _free(text: str) -> str:
    """The address, or one with another port when it is taken."""
    if not text:
        return text
    host, port = address(text, "address")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return f"{host}:0"
    return text
