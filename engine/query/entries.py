"""Groups of users by one row each: the breakdown of models in which a user has one state a period.

The row is named by the model (a user's first chosen event, or the last one), so a breakdown never
splits what a user did; a list property puts the user in several groups. One object a shard, made by
one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query.breakdown import once_a_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.breakdown import Breakdown, Chosen
    from zuji.engine.query.kernels._user_rows import UserRows
    from zuji.engine.query.reader import Selected, ShardReader
    from zuji.engine.types import U8, U32


@dataclass(frozen=True, slots=True)
class Entries:
    """Pairs (user, group), ascending by user: uint32[m] each, no pair twice."""

    users: U32
    groups: U32

    def counts(self, size: int, mask: U8 | None = None) -> U32:
        """Users of each group, those of ``mask`` uint8[ordinals] alone."""
        groups = self.groups if mask is None else self.groups[mask[self.users] == 1]
        return np.bincount(groups, minlength=size).astype(np.uint32)

    def lines(self, chosen: Chosen, users: int) -> tuple[U32, U32, int]:
        """As kernels take them: offsets uint32[users + 1], line of each pair, number of lines.

        A user of several groups that are merged into one line is there once.
        """
        lines = chosen.table[self.groups]
        if chosen.other:
            lines = once_a_row(self.users, lines, len(chosen.shown))
        offsets = np.zeros(users + 1, np.uint32)
        np.cumsum(np.bincount(self.users, minlength=users), out=offsets[1:])
        return offsets, lines, chosen.lines

    def of_line(self, chosen: Chosen, line: int, users: int) -> U8:
        """Users of a line, uint8[users]."""
        mask = np.zeros(users, np.uint8)
        mask[self.users[chosen.table[self.groups] == line]] = 1
        return mask


def entries(
    by: Breakdown, reader: ShardReader, selected: Sequence[Selected], rows: UserRows
) -> Entries:
    """Groups of the users of ``rows``, whose lanes are those of ``selected``. O(rows read)."""
    users: list[U32] = []
    groups: list[U32] = []
    for number, chosen in enumerate(selected):
        mine = np.flatnonzero(rows.lane == number).astype(np.uint32)
        if not len(mine):
            continue
        at = rows.row[mine]
        _, parents, found = by.groups.of_rows(chosen.lane, by.codes(reader, chosen.ref))
        assert found is not None
        if parents is None:
            users.append(mine)
            groups.append(found[at])
            continue
        low = np.searchsorted(parents, at, side="left")
        lengths = np.searchsorted(parents, at, side="right") - low
        ends = np.cumsum(lengths)
        index = np.arange(int(ends[-1])) + np.repeat(low - (ends - lengths), lengths)
        users.append(np.repeat(mine, lengths))
        groups.append(found[index])
    if not users:
        return Entries(np.empty(0, np.uint32), np.empty(0, np.uint32))
    owner, group = np.concatenate(users), np.concatenate(groups)
    reader.context.charge(owner.nbytes + group.nbytes)
    order = np.argsort(owner, kind="stable")
    return Entries(owner[order], group[order])
