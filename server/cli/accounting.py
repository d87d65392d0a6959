"""``zuji account``: who signs in to the console; and the first administrator of a server."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from zuji.server.cli.opening import database_of
from zuji.server.cli.outcome import OK, say
from zuji.server.terminal import console

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.server.meta import Store


def create(data: Path, login: str, role: str, name: str, language: str, database: str) -> int:
    """Makes an account and shows its one-time password, once."""
    from zuji.server.accounts.book import make_account
    from zuji.server.accounts.permissions import Role

    with database_of(data, database) as store:
        account, password = make_account(
            store, login, Role(role), name=name, language=language or own_language()
        )
    print(password)
    say(
        f"account {account.login!r} ({account.role}): the one-time password is shown this once, "
        "and is to be changed at the first sign-in"
    )
    return OK


def show(data: Path, database: str) -> int:
    """Lists accounts."""
    from zuji.server.accounts.book import list_accounts

    with database_of(data, database) as store:
        accounts = list_accounts(store)
    table = Table("login", "name", "role", "state", "made", "signed in")
    for one in accounts:
        state = "disabled" if one.disabled else "one-time password" if one.must_change else "works"
        table.add_row(
            Text(one.login),
            Text(one.name),
            str(one.role),
            state,
            _day(one.created_ms),
            "never" if one.signed_in_ms is None else _day(one.signed_in_ms),
        )
    none = Text("no accounts; `zuji serve` makes the first one")
    console().print(table if accounts else none)
    return OK


def disable(data: Path, login: str, database: str, *, disabled: bool) -> int:
    """Lets an account sign in no more, or again."""
    from zuji.server.accounts.book import account_named, change_account

    with database_of(data, database) as store:
        account = change_account(store, account_named(store, login).id, disabled=disabled)
    if disabled:
        say(f"account {account.login!r} is disabled, and signed out everywhere")
    else:
        say(f"account {account.login!r} may sign in again")
    return OK


def password(data: Path, login: str, database: str) -> int:
    """Makes a one-time password and shows it, once."""
    from zuji.server.accounts.book import account_named, reset_password

    with database_of(data, database) as store:
        account, text = reset_password(store, account_named(store, login).id)
    print(text)
    say(f"account {account.login!r} is signed out everywhere; the password is shown this once")
    return OK


def first(store: Store) -> bool:
    """Makes the first administrator where there is no account, and tells the one-time password."""
    from zuji.server.accounts.book import first_administrator

    made = first_administrator(store)
    if made is not None:
        tell(made[0].login, made[1])
    return made is not None


def tell(login: str, one_time: str) -> None:
    """Says a one-time password."""
    say(
        f"the console's first administrator: {login}",
        f"one-time password: {one_time}",
        "it is shown this once, and is to be changed at the first sign-in",
    )


def own_language() -> str:
    """Of whoever is at the terminal: English where the environment says so, else Chinese."""
    said = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "en" if said.startswith("en") else "zh"


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
