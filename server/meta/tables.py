"""What a server knows beside events: tables of its database. Migrations are in ``migrations/``.

Times are ms since 1970 UTC. Names of projects are those of their directories.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String
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
