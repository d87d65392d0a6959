"""What the models over sessions share: random definitions, and the sessions of each user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.oracle.asking import OTHER, Key, chosen, keys_of, where_of, with_other
from tests.oracle.filters import UNIT_MS, is_event
from tests.oracle.parts import ref
from tests.oracle.walltime import local_date

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject, Row


@dataclass(frozen=True)
class Session:
    """``counted``: those of its rows that count, at least one; ``is_open``: it may go on."""

    user: Any
    rows: tuple[Row, ...]
    counted: tuple[Row, ...]
    is_open: bool

    @property
    def start(self) -> int:
        """Time of the first row."""
        return self.rows[0].time

    @property
    def end(self) -> int:
        """Time of the last row."""
        return self.rows[-1].time


def definition(rng: random.Random) -> dict[str, Any]:
    """A random definition of sessions."""
    made: dict[str, Any] = {}
    if rng.random() < 0.7:
        gap = rng.choice([(1, "second"), (30, "minute"), (1, "hour"), (2, "day"), (45, "day")])
        made["gap"] = {"n": gap[0], "unit": gap[1]}
    if rng.random() < 0.3:
        made["start"] = ref(rng)
    if rng.random() < 0.3:
        made["end"] = ref(rng)
    if rng.random() < 0.3:
        made["midnight"] = True
    return made


def sessions_of(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[Session]:
    """All sessions of the users, whenever they start."""
    body, where = query["body"], where_of(project, query, now)
    rule = body.get("session") or {}
    gap = rule.get("gap") or {"n": 30, "unit": "minute"}
    gap_ms = gap["n"] * UNIT_MS[gap["unit"]]
    mark = min(project.watermark or 0, now)

    def named(row: Row, what: str) -> bool:
        return is_event(project, row, rule[what], now)

    found: list[Session] = []
    for user in users:
        pieces: list[list[Row]] = []
        going, before = False, None
        for row in project.rows_of(user):
            gone = before is not None and row.time - before.time > gap_ms
            if gone:
                going = False
            dates = {local_date(r.time, span.tz) for r in (row, before) if r is not None}
            if rule.get("midnight") and going and len(dates) == 2:
                pieces.append([])
            begins = named(row, "start") if rule.get("start") else not going
            if begins:
                pieces.append([])
                going = True
            if going:
                pieces[-1].append(row)
            if going and rule.get("end") and named(row, "end"):
                going = False
            before = row
        for piece in pieces:
            if not piece:  # a start at midnight
                continue
            counts = [
                r
                for r in piece
                if where(r) and is_event(project, r, body.get("events") or {"e": "*"}, now)
            ]
            if counts:
                is_open = piece[-1].time + gap_ms >= mark
                found.append(Session(user, tuple(piece), tuple(counts), is_open))
    return found


def _zone(project: OracleProject, query: dict[str, Any]) -> str:
    zone: str = query["time"].get("tz") or project.tz
    return zone


def lines_of(
    project: OracleProject,
    query: dict[str, Any],
    sessions: list[Session],
    at: int = 0,
) -> list[tuple[Key, list[Session]]]:
    """The lines of the answer, ranked by sessions. ``at``: the counted row at which the group is
    read, 0 or -1.
    """
    if not query.get("by"):
        return [((), sessions)]
    grouped: dict[Key, list[Session]] = {}
    for session in sessions:
        for key in set(keys_of(project, session.counted[at], query, _zone(project, query))):
            grouped.setdefault(key, []).append(session)
    top, rest = chosen(query, {key: float(len(own)) for key, own in grouped.items()})
    lines = [(key, grouped[key]) for key in top]
    if with_other(query, rest):
        once = {id(s): s for key in rest for s in grouped[key]}
        lines.append((OTHER, list(once.values())))
    return lines
