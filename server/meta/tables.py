"""What a server knows beside events: tables of its database. Migrations are in ``migrations/``.

Times are ms since 1970 UTC. Names of projects are those of their directories.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of all tables."""


class KeyRow(Base):
    """A key of a project. The secret itself is not here, only its SHA-256 (it has 160 random bits,
    so there is nothing to guess and no need for a slow hash).
    """

    __tablename__ = "project_key"
    __table_args__ = (Index("project_key_project", "project"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    project: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(8))
    note: Mapped[str] = mapped_column(String(200), default="")
    digest: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    revoked_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)


class PlanRow(Base):
    """One version of a project's tracking plan; the highest is the one that counts."""

    __tablename__ = "tracking_plan"

    project: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    author: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(String(200), default="")
    created_ms: Mapped[int] = mapped_column(BigInteger)
    document: Mapped[str] = mapped_column(Text(16 << 20))


class QualityRow(Base):
    """How often something was found about a project's events on a day of its time zone."""

    __tablename__ = "quality_count"

    project: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    reason: Mapped[str] = mapped_column(String(40), primary_key=True)
    severity: Mapped[str] = mapped_column(String(10), primary_key=True)
    sdk: Mapped[str] = mapped_column(String(90), primary_key=True)
    app: Mapped[str] = mapped_column(String(40), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class AccountRow(Base):
    """Somebody who signs in. ``login`` is lower case; ``password``: argon2id as PHC text."""

    __tablename__ = "account"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    login: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    role: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(8))
    password: Mapped[str] = mapped_column(String(200))
    must_change: Mapped[bool]
    disabled: Mapped[bool]
    created_ms: Mapped[int] = mapped_column(BigInteger)
    signed_in_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)


class SessionRow(Base):
    """A signed-in browser. ``digest``: SHA-256 of its cookie (256 random bits)."""

    __tablename__ = "account_session"
    __table_args__ = (Index("account_session_account", "account"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[str] = mapped_column(String(16))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    seen_ms: Mapped[int] = mapped_column(BigInteger)


class FailureRow(Base):
    """Failed sign-ins of a login from an address, or of an address with any. ``digest``: a hash."""

    __tablename__ = "sign_in_failure"
    __table_args__ = (Index("sign_in_failure_last", "last_ms"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    until_ms: Mapped[int] = mapped_column(BigInteger)
    last_ms: Mapped[int] = mapped_column(BigInteger)


class SavedRow(Base):
    """One version of a saved analysis; the highest is the one that counts. What is the same in all
    versions is repeated: there are few. ``query`` and ``view`` are JSON.
    """

    __tablename__ = "saved_analysis"
    __table_args__ = (Index("saved_analysis_project", "project", "newest"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    newest: Mapped[bool]
    project: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    folder: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(40))
    query: Mapped[str] = mapped_column(Text(1 << 20))
    view: Mapped[str] = mapped_column(Text(1 << 20))
    author: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger)


class BoardRow(Base):
    """A board. ``document``: what it shows, as JSON. ``version``: goes up with every change."""

    __tablename__ = "board"
    __table_args__ = (Index("board_project", "project"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    project: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    folder: Mapped[str] = mapped_column(String(200))
    document: Mapped[str] = mapped_column(Text(1 << 20))
    version: Mapped[int]
    author: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger)
