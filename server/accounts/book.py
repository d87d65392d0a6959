"""Accounts in the server's database: make, list, change, find. Thread-safe.

A login is letters, digits and ``._@-``, told apart without case. There is always an administrator
who can sign in: the last one can be neither disabled nor made less. An account is never deleted
(what it saved has its name); disabling ends its sessions.
"""

from __future__ import annotations

import secrets
import time
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.accounts import passwords
from zuji.server.accounts.permissions import Role
from zuji.server.errors import Conflict, WrongPassword
from zuji.server.meta.tables import AccountRow, SessionRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session as Transaction

    from zuji.server.meta import Store

FIRST_LOGIN = "admin"
LANGUAGES = ("zh", "en")
NAME_CHARS = 80
LOGIN_CHARS = 64
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
ID_CHARS = 10


@dataclass(frozen=True, slots=True)
class Account:
    """An account without its password. ``language``: of the console, zh or en."""

    id: str
    login: str
    name: str
    role: Role
    language: str
    must_change: bool
    disabled: bool
    created_ms: int
    signed_in_ms: int | None


def random_id() -> str:
    """A short random name of 50 bits, for a thing that people link to."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(ID_CHARS))


def normal_login(login: str) -> str:
    """The login as it is stored; no check."""
    return unicodedata.normalize("NFKC", login.strip()).casefold()


def make_account(
    store: Store, login: str, role: Role, *, name: str = "", language: str = "zh"
) -> tuple[Account, str]:
    """A new account and its one-time password, which nobody sees again.

    Raises:
        InvalidInput: the login, name or language will not do. Conflict: the login is taken.
    """
    normal = _checked_login(login)
    name = _checked_name(name or login.strip())
    _check_language(language)
    password = passwords.one_time()
    row = AccountRow(
        id=random_id(),
        login=normal,
        name=name,
        role=str(role),
        language=language,
        password=passwords.hashed(password),
        must_change=True,
        disabled=False,
        created_ms=now_ms(),
        signed_in_ms=None,
    )
    with store.session() as session:
        if session.scalar(select(AccountRow.id).where(AccountRow.login == normal)) is not None:
            raise Conflict(f"there is an account {normal!r} already")
        session.add(row)
        session.flush()
        return of_row(row), password


def first_administrator(store: Store) -> tuple[Account, str] | None:
    """The administrator that a new server needs, and the one-time password; None when there are
    accounts.
    """
    if list_accounts(store):
        return None
    return make_account(store, FIRST_LOGIN, Role.ADMINISTRATOR)


def list_accounts(store: Store) -> list[Account]:
    """All accounts by login."""
    with store.session() as session:
        return [of_row(row) for row in session.scalars(select(AccountRow).order_by("login"))]


def account_named(store: Store, login: str) -> Account:
    """The account of a login.

    Raises:
        NotFound.
    """
    with store.session() as session:
        asked = select(AccountRow).where(AccountRow.login == normal_login(login))
        row = session.scalar(asked)
        if row is None:
            raise NotFound(f"there is no account {login!r}; `zuji account list` shows them")
        return of_row(row)


def change_account(store: Store, account: str, **changes: Any) -> Account:
    """Sets ``name``, ``language``, ``role``, ``disabled`` of an account by its id.

    Raises:
        NotFound. InvalidInput: a value that will not do, or no administrator would be left.
    """
    with store.session() as session:
        row = _row(session, account)
        if "name" in changes:
            row.name = _checked_name(changes["name"])
        if "language" in changes:
            _check_language(changes["language"])
            row.language = changes["language"]
        if "role" in changes:
            row.role = str(Role(changes["role"]))
        if "disabled" in changes:
            row.disabled = changes["disabled"]
            if row.disabled:
                _end_sessions(session, account)
        session.flush()
        if {"role", "disabled"} & set(changes) and not session.scalar(
            select(func.count())
            .select_from(AccountRow)
            .where(AccountRow.role == str(Role.ADMINISTRATOR), AccountRow.disabled.is_(False))
        ):
            raise InvalidInput("this is the last administrator: make another one first")
        return of_row(row)


def reset_password(store: Store, account: str) -> tuple[Account, str]:
    """A one-time password in place of the account's own, and the end of its sessions.

    Raises:
        NotFound.
    """
    password = passwords.one_time()
    stored = passwords.hashed(password)
    with store.session() as session:
        row = _row(session, account)
        row.password, row.must_change = stored, True
        _end_sessions(session, account)
        session.flush()
        return of_row(row), password


def set_password(store: Store, account: str, old: str, new: str) -> None:
    """Changes the own password, and ends all sessions of the account.

    Raises:
        WrongPassword: the old one. InvalidInput: the new one will not do.
    """
    with store.session() as session:
        row = _row(session, account)
        stored, login = row.password, row.login
    if not passwords.right(stored, old):
        raise WrongPassword("the old password is not right")
    passwords.check(new, login)
    if passwords.right(stored, new):
        raise InvalidInput("the new password is the old one")
    made = passwords.hashed(new)
    with store.session() as session:
        row = _row(session, account)
        if row.password != stored:  # somebody reset it meanwhile
            raise WrongPassword("the old password is not right")
        row.password, row.must_change = made, False
        _end_sessions(session, account)


def signed_in(store: Store, login: str, password: str) -> Account:
    """The account that signs in; the same work whoever it is.

    Raises:
        WrongPassword: unknown, disabled or another password.
    """
    normal = normal_login(login)
    with store.session() as session:
        row = session.scalar(select(AccountRow).where(AccountRow.login == normal))
        stored = None if row is None else row.password
        found = None if row is None else of_row(row)
    good = passwords.right(stored, password)
    if not good or found is None or stored is None or found.disabled:
        raise WrongPassword("login or password is wrong")
    again = passwords.hashed(password) if passwords.outdated(stored) else None
    with store.session() as session:
        row = _row(session, found.id)
        if row.password != stored or row.disabled:
            raise WrongPassword("login or password is wrong")
        row.password = again or stored
        row.signed_in_ms = now_ms()
        return of_row(row)


def of_row(row: AccountRow) -> Account:
    """The account of a row."""
    return Account(
        row.id,
        row.login,
        row.name,
        Role(row.role),
        row.language,
        row.must_change,
        row.disabled,
        row.created_ms,
        row.signed_in_ms,
    )


def now_ms() -> int:
    """ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


def _row(session: Transaction, account: str) -> AccountRow:
    row = session.get(AccountRow, account)
    if row is None:
        raise NotFound(f"there is no account {account!r}")
    return row


def _end_sessions(session: Transaction, account: str) -> None:
    session.execute(delete(SessionRow).where(SessionRow.account == account))


def _checked_login(login: str) -> str:
    normal = normal_login(login)
    good = 0 < len(normal) <= LOGIN_CHARS and all(c.isalnum() or c in "._@-" for c in normal)
    if not good:
        raise InvalidInput(f"a login has 1 to {LOGIN_CHARS} letters, digits or any of . _ @ -")
    return normal


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= NAME_CHARS or not name.isprintable():
        raise InvalidInput(f"a name has 1 to {NAME_CHARS} characters, all printable")
    return name


def _check_language(language: str) -> None:
    if language not in LANGUAGES:
        raise InvalidInput(f"language is one of {', '.join(LANGUAGES)}")
