"""The versions of plans in the server's database: none is ever changed, the newest counts.

Thread-safe, and safe beside other processes: of two that write the same version one is refused.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from zuji.engine.errors import InvalidInput, NotFound, StorageFailed
from zuji.server.meta.tables import PlanRow
from zuji.server.plan.document import OPEN, Plan, decoded, encoded

if TYPE_CHECKING:
    from zuji.server.meta import Store

NOTE_CHARS = 200


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a plan; 0 is the plan of a project that was never given one."""

    version: int
    plan: Plan
    author: str = ""
    note: str = ""
    created_ms: int = 0


class PlanBook:
    """Plans of all projects."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def number(self, project: str) -> int:
        """Version that counts."""
        with self._store.session() as session:
            newest = select(func.max(PlanRow.version)).where(PlanRow.project == project)
            return session.scalar(newest) or 0

    def current(self, project: str) -> Version:
        """The plan that counts."""
        number = self.number(project)
        return self.version(project, number) if number else Version(0, OPEN)

    def version(self, project: str, number: int) -> Version:
        """A version.

        Raises:
            NotFound. InvalidInput: a newer release wrote it.
        """
        if number == 0:
            return Version(0, OPEN)
        with self._store.session() as session:
            row = session.get(PlanRow, (project, number))
            if row is None:
                raise NotFound(f"the plan of {project!r} has no version {number}")
            return Version(row.version, decoded(row.document), row.author, row.note, row.created_ms)

    def put(
        self,
        project: str,
        plan: Plan,
        author: str,
        note: str = "",
        expected: int | None = None,
    ) -> Version:
        """Makes a plan the one that counts; the same one again is no new version. ``expected``: the
        version that it was made from.

        Raises:
            InvalidInput: another version came meanwhile; the note is too long. StorageFailed.
        """
        if len(note) > NOTE_CHARS:
            raise InvalidInput(f"a note has at most {NOTE_CHARS} characters")
        now = self.current(project)
        if expected is not None and expected != now.version:
            raise InvalidInput(
                f"the plan has version {now.version} by now, not {expected}: take it, put your "
                "changes into it, and set that"
            )
        if now.version and now.plan == plan:
            return now
        made = Version(now.version + 1, plan, author[:64], note, time.time_ns() // 1_000_000)
        try:
            with self._store.session() as session:
                session.add(
                    PlanRow(
                        project=project,
                        version=made.version,
                        author=made.author,
                        note=note,
                        created_ms=made.created_ms,
                        document=encoded(plan).decode(),
                    )
                )
        except StorageFailed as problem:
            if isinstance(problem.__cause__, IntegrityError):
                raise InvalidInput("somebody else set the plan at this moment: try again") from None
            raise
        return made

    def history(self, project: str) -> list[Version]:
        """All versions, newest first."""
        with self._store.session() as session:
            rows = select(PlanRow).where(PlanRow.project == project)
            return [
                Version(r.version, decoded(r.document), r.author, r.note, r.created_ms)
                for r in session.scalars(rows.order_by(PlanRow.version.desc()))
            ]
