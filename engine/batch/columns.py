"""The columns that a batch becomes. No object an event, only for the events that were refused.

Cells are in coordinate form: row i owns cells ``cell_start[i]:cell_start[i+1]``, in the order
sent. Codes of names index ``names``, all other codes index ``strings``; both tables are the
caller's, so codes mean the same across the batches that were decoded into them.
Thread-safety: plain data; reading is safe while nobody interns into the two tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from zuji.engine.batch._decode import StringTable
    from zuji.engine.types import I64, U8, U32

NONE: Final = 0xFFFFFFFF
"""Code that stands for "not there"."""

TRACK: Final = 0
PROFILE_SET: Final = 1
PROFILE_UNSET: Final = 2
PROFILE_SET_ONCE: Final = 3
PROFILE_INCREMENT: Final = 4
PROFILE_APPEND: Final = 5
PROFILE_DELETE: Final = 6

UNSET: Final = 0
"""``cell_kind`` of a property that a profile row removes; other kinds are ``types.Kind``."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One event that was refused; the others of its batch were not affected.

    ``index``: its position in the batch. ``reason``: a code of ``reasons.EVENT_REASONS``.
    ``path``: the wrong place (``properties.tags[3]``). ``raw``: its bytes as sent, to be kept.
    """

    index: int
    reason: str
    path: str
    message: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The accepted events of one batch (``n`` rows, in the order sent) and the refused ones.

    ``kind`` uint8[n]: TRACK, PROFILE_SET, … ``event`` uint32[n]: code in ``names``, NONE for
    profiles. ``user``, ``device`` uint32[n]: codes in ``strings`` or NONE. ``time``
    int64[n]: ms UTC. ``insert`` uint8: the insert ids end to end, row i owning
    ``insert[insert_start[i]:insert_start[i+1]]`` (nothing: it has none); they hardly ever come
    again, so they are not interned. ``index`` uint32[n]: position in the batch as sent, ascending.
    ``cell_prop`` uint32[c]: code in ``names``. ``cell_kind`` uint8[c]: Kind, or UNSET.
    ``cell_value`` int64[c]: BOOL 0/1; INT; FLOAT the bits of the float64; DATETIME ms UTC; STRING
    code in ``strings``; LIST the number l of a list, which owns
    ``list_item[list_start[l]:list_start[l+1]]`` (codes in ``strings``, in the order sent, repeats
    kept); UNSET 0. ``list_start`` int64[lists+1], ``list_item`` uint32. What PROFILE_INCREMENT has
    is INT or FLOAT, what PROFILE_APPEND has LIST.
    """

    n: int
    kind: U8
    event: U32
    user: U32
    device: U32
    time: I64
    insert: U8
    insert_start: I64
    index: U32
    cell_start: I64
    cell_prop: U32
    cell_kind: U8
    cell_value: I64
    list_start: I64
    list_item: U32
    names: StringTable
    strings: StringTable
    batch_id: bytes | None
    sent_at: int | None
    rejected: list[Rejected]
