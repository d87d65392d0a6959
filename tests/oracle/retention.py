"""Retention by definition: for each user and cohort period, which later periods had a return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.oracle.project import OracleProject, Row

User = tuple[str, str]
DAY_MS = 86_400_000
ROLLING_MS = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS}


@dataclass
class Member:
    """One user in one cohort period: the row that made it a member, and the periods of its
    returns.
    """

    user: User
    period: int
    entry: Row
    returned: set[int] = field(default_factory=set)
    metric: dict[int, list[Row]] = field(default_factory=dict)


def members(
    rows: list[Row],
    is_start: Callable[[Row], bool],
    is_return: Callable[[Row], bool],
    is_metric: Callable[[Row], bool],
    cohort: str,
    span: tuple[int, int],
    buckets: list[tuple[int, int, str]],
    cohorts: int,
    period_ms: int | None,
) -> list[Member]:
    """Cohort memberships of one user, rows in order. ``buckets``: the cohort periods, then later
    ones.

    ``cohorts``: how many of the buckets are cohort periods. ``period_ms``: rolling periods, or
    None.
    """
    starts = [r for r in rows if is_start(r)]
    if cohort == "first_ever":
        starts = starts[:1]
    starts = [r for r in starts if span[0] <= r.time < span[1]]
    if cohort == "first_in_range":
        starts = starts[:1]
    found: list[Member] = []
    for period in range(cohorts):
        low, high, _ = buckets[period]
        own = [r for r in starts if low <= r.time < high]
        if not own:
            continue
        member = Member(rows[0].user, period, own[0])
        for row in rows:
            if is_return(row):
                k = _period_of(row, member, is_start(row), buckets, period_ms)
                if k is not None:
                    member.returned.add(k)
            if is_metric(row):
                k = _metric_period(row, member, buckets, period_ms)
                if k is not None:
                    member.metric.setdefault(k, []).append(row)
        found.append(member)
    return found


def _period_of(
    row: Row,
    member: Member,
    also_start: bool,
    buckets: list[tuple[int, int, str]],
    period_ms: int | None,
) -> int | None:
    """The period number of a return, None when it does not count.

    A row before the entry never counts, but for a different event on the calendar day of the entry.
    """
    later = row.place > member.entry.place
    if period_ms is not None:
        if not later and not (not also_start and row.time == member.entry.time):
            return None
        return (row.time - member.entry.time) // period_ms
    for i, (low, high, _) in enumerate(buckets):
        if low <= row.time < high:
            k = i - member.period
            if k < 0 or (k == 0 and not later and also_start):
                return None
            return k
    return None


def _metric_period(
    row: Row, member: Member, buckets: list[tuple[int, int, str]], period_ms: int | None
) -> int | None:
    """The period of a metric row: the whole calendar period of the entry counts as period 0."""
    if period_ms is not None:
        passed = row.time - member.entry.time
        return passed // period_ms if passed >= 0 else None
    for i, (low, high, _) in enumerate(buckets):
        if low <= row.time < high and i >= member.period:
            return i - member.period
    return None


def hits(member: Member, k: int, criterion: Any, n: int) -> bool:
    """Does the member count as returned in column ``k`` (a bracket: its number)?"""
    back = member.returned
    if isinstance(criterion, dict):
        low, high = criterion["bracket"][k]
        return any(low <= p <= high for p in back)
    if criterion == "on":
        return k in back
    if criterion == "on_or_after":
        return any(k <= p <= n for p in back)
    if criterion == "on_or_before":
        return any(1 <= p <= k for p in back) if k else 0 in back
    assert criterion == "consecutive", criterion
    return all(p in back for p in range(1, k + 1)) if k else 0 in back


def last_needed(k: int, criterion: Any, n: int) -> int:
    """The last period that decides column ``k``."""
    if isinstance(criterion, dict):
        return int(criterion["bracket"][k][1])
    return n if criterion == "on_or_after" else k


def all_users_members(project: OracleProject, users: list[User], **how: Any) -> list[Member]:
    """Memberships of all users."""
    found: list[Member] = []
    for user in users:
        rows = project.rows_of(user)
        if rows:
            found += members(rows, **how)
    return found
