"""Passwords: argon2id (RFC 9106, the parameters for little memory: 64 MiB, 3 passes), what a new
one must be, and one-time passwords. Thread-safe; a check takes some 50 ms and 64 MiB.

Passwords are compared as NFKC, so that what an input method made full-width is the same password.
"""

from __future__ import annotations

import secrets
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from zuji.engine.errors import InvalidInput

LEAST_CHARS = 10
MOST_CHARS = 200
LEAST_DIFFERENT = 5
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 4, 4

_HASHER = PasswordHasher()


def hashed(password: str) -> str:
    """What is stored of a password: PHC text with its salt and parameters."""
    return _HASHER.hash(_normal(password))


def right(stored: str | None, password: str) -> bool:
    """Whether it is the password. With None (an unknown login) the same work is done, and the
    answer is no: who measures the time learns nothing.
    """
    try:
        good = _HASHER.verify(_nobodys() if stored is None else stored, _normal(password))
    except (VerifyMismatchError, InvalidHashError):
        return False
    return good and stored is not None


def outdated(stored: str) -> bool:
    """Whether it was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def check(password: str, login: str) -> None:
    """Holds a new password to the rules.

    Raises:
        InvalidInput: says which one it breaks.
    """
    normal = _normal(password)
    if not LEAST_CHARS <= len(normal) <= MOST_CHARS:
        raise InvalidInput(f"a password has {LEAST_CHARS} to {MOST_CHARS} characters")
    if len(set(normal)) < LEAST_DIFFERENT:
        raise InvalidInput(f"a password has at least {LEAST_DIFFERENT} different characters")
    if login.casefold() in normal.casefold() and len(login) * 2 > len(normal):
        raise InvalidInput("a password is not the login with a little more")


def one_time() -> str:
    """A password of 80 random bits, to be changed at the first sign-in: ``k7fq-…``."""
    return "-".join(
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS)
    )


@cache
def _nobodys() -> str:
    return hashed(secrets.token_urlsafe(32))


def prepare() -> None:
    """Makes what the first unknown login would have to wait for."""
    _nobodys()


def _normal(password: str) -> str:
    if len(password) > 4 * MOST_CHARS:  # of what is too long to be one, no more is worked on
        password = password[: 4 * MOST_CHARS]
    return unicodedata.normalize("NFKC", password)
