"""Values that people give: an edit says who gave which user which value, and when.

The value of a user at a moment is that of the last edit up to it; a taken-back value is an edit,
too. Edits are kept for ever, the newest few in the catalogue, the others in files: columns of
shard, ordinal, time, value, who, in the order they were made. docs/format/tags.md. Functions and
immutable values: thread-safe.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine.errors import Corruption
from zuji.engine.query.users import History
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zuji.engine.people.blob import Blob
    from zuji.engine.types import I64, U8, U32, Values

KEPT_IN_CATALOGUE: Final = 256
"""Edits that wait in the catalogue, which is written whole with each."""
MOST_FILES: Final = 8
"""Files of a tag; one more and all become one."""
FORM: Final = "edits-1"
_COLUMNS: Final = ("<u2", "<u4", "<i8", "<u4", "<u4")
"""Shard, ordinal, time in ms, code of the value + 1 (0: taken back), code of who."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One user's value, None: none any more. ``value``: as a column of the tag's kind holds it."""

    shard: int
    ordinal: int
    value: Any
    who: str
    time_ms: int

    def dump(self) -> list[Any]:
        """As JSON values."""
        return [self.shard, self.ordinal, self.value, self.who, self.time_ms]


def sections_of_edits(edits: Sequence[Edit]) -> tuple[list[bytes], dict[str, Any]]:
    """Sections and meta of a blob."""
    values: dict[Any, int] = {}
    people: dict[str, int] = {}
    rows = [
        (
            one.shard,
            one.ordinal,
            one.time_ms,
            0 if one.value is None else 1 + values.setdefault(one.value, len(values)),
            people.setdefault(one.who, len(people)),
        )
        for one in edits
    ]
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    sections = [
        np.array(column, kind).tobytes() for column, kind in zip(columns, _COLUMNS, strict=True)
    ]
    texts = json.dumps({"values": list(values), "who": list(people)}, ensure_ascii=False)
    return [*sections, texts.encode()], {"form": FORM, "edits": len(rows)}


def edits_of(blob: Blob) -> list[Edit]:
    """The edits of a file, in order.

    Raises:
        Corruption.
    """
    if blob.meta.get("form") != FORM or blob.sections != len(_COLUMNS) + 1:
        raise Corruption("the file does not hold edits of a tag", blob.path)
    columns = [np.frombuffer(blob.section(i), kind) for i, kind in enumerate(_COLUMNS)]
    if {len(column) for column in columns} != {int(blob.meta["edits"])}:
        raise Corruption("the edits of a tag have different lengths", blob.path)
    texts = json.loads(bytes(blob.section(len(_COLUMNS))))
    values, people = [None, *texts["values"]], texts["who"]
    try:
        return [
            Edit(shard, ordinal, values[value], people[who], time)
            for shard, ordinal, time, value, who in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]
    except IndexError:
        raise Corruption("an edit of a tag names a value that is not there", blob.path) from None


def histories(edits: Iterable[Edit], kind: Kind, shards: int) -> list[History | None]:
    """Values of each shard after each edit, by (ordinal, time, order)."""
    by_shard: list[list[Edit]] = [[] for _ in range(shards)]
    for one in edits:
        by_shard[one.shard].append(one)
    return [history_of(own, kind) if own else None for own in by_shard]


def history_of(edits: Sequence[Edit], kind: Kind) -> History:
    """The edits of one shard, sorted; of one instant the later one counts."""
    ordered = sorted(edits, key=lambda one: (one.ordinal, one.time_ms))  # stable
    users: U32 = np.array([one.ordinal for one in ordered], np.uint32)
    times: I64 = np.array([one.time_ms for one in ordered], np.int64)
    present: U8 = np.array([one.value is not None for one in ordered], np.uint8)
    texts: dict[str, int] = {}
    values: Values
    if kind == Kind.STRING:
        codes = [0 if e.value is None else texts.setdefault(e.value, len(texts)) for e in ordered]
        values = np.array(codes, np.uint32)
        return History(kind, users, times, values, present, list(texts) or [""])
    values = np.array([e.value or 0 for e in ordered], DTYPES[kind])
    return History(kind, users, times, values, present, None)
