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
