"""Members of cohorts and their ids: pages in a steady order, and lists of ids looked up in bulk.

A type of id is ``user_id``, ``device_id`` (of a customer: the one with his last event that has one)
or a typed id such as ``$identity_mobile`` (his present value of the user property of that name).
Functions over a pinned view: thread-safe.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict

import numpy as np
from pyroaring import BitMap

from zuji.engine.errors import InvalidInput
from zuji.engine.index.catalog import DEVICE_ID
from zuji.engine.people.cohort_files import ordinals_of
from zuji.engine.people.cohort_kept import nobody, owners_of
from zuji.engine.query.users import user_column
from zuji.engine.types import TYPED_ID, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zuji.engine.query.context import Context
    from zuji.engine.query.view import View
    from zuji.engine.types import I64, U8, U32, Column

    Lookup = Callable[[U8, I64], tuple[I64, I64]]
    """Keys (``u…``, ``d…``; concatenated bytes and offsets) → shards and ordinals int64[n], -1
    where nobody has the key.
    """

MAX_PAGE: Final = 10_000
MAX_ID_BYTES: Final = 255
AT_ONCE: Final = 1 << 16
"""Ids that are looked up together."""
_EXAMPLES: Final = 5
_CURSOR: Final = re.compile(r"(\d{1,4})-(\d{1,10})", re.ASCII)


class Page(TypedDict):
    """Some members. ``next``: the cursor of the following ones, None at the end."""

    users: list[dict[str, str | None]]
    next: str | None
    total: int


@dataclass(slots=True)
class Found:
    """What a list of ids came to. ``examples``: of ids that nobody has."""

    shards: list[BitMap]
    given: int
    found: int
    examples: list[str]


def check_id_type(id_type: str) -> None:
    """Raises InvalidInput for what is no type of id."""
    typed = id_type.startswith(TYPED_ID) and len(id_type) > len(TYPED_ID)
    if id_type not in ("user_id", "device_id") and not typed:
        raise InvalidInput(
            "a type of id is 'user_id', 'device_id' or a typed id such as '$identity_mobile', got "
            f"{id_type[:100]!r}"
        )


def ids_of_csv(lines: Iterable[str], column: str | None, id_type: str) -> Iterator[str]:
    """The ids of a CSV text with a line of names: of ``column``; None: of the one that is called
    ``id_type``, or of the only one.

    Raises:
        InvalidInput: the column is not there, or a line is too short.
    """
    reader = csv.reader(lines)
    names = [name.strip().lstrip("\ufeff") for name in next(reader, [])]
    wanted = column or id_type
    if column is None and wanted not in names and len(names) == 1:
        wanted = names[0]
    if wanted not in names:
        there = ", ".join(names) or "nothing"
        raise InvalidInput(f"the file has no column {wanted!r}; its first line names {there}")
    at = names.index(wanted)
    for row in reader:
        if not row:
            continue
        if len(row) <= at:
            raise InvalidInput(f"line {reader.line_num} has {len(row)} columns, not {len(names)}")
        yield row[at]


def found_by(lookup: Lookup, view: View, ids: Iterable[str], id_type: str) -> Found:
    """The users with some ids. An id given twice counts once; blanks around it do not. O(ids)."""
    check_id_type(id_type)
    found = Found([BitMap() for _ in range(view.shards)], 0, 0, [])
    by_value = _by_value(view, id_type) if id_type.startswith(TYPED_ID) else None
    waiting: dict[str, None] = {}
    seen: set[str] = set()
    for each in ids:
        text = each.strip()
        if text and text not in seen:
            seen.add(text)
            waiting[text] = None
        if len(waiting) >= AT_ONCE:
            _look_up(lookup, list(waiting), id_type, by_value, found)
            waiting.clear()
    _look_up(lookup, list(waiting), id_type, by_value, found)
    return found


def _look_up(
    lookup: Lookup,
    texts: list[str],
    id_type: str,
    by_value: dict[str, list[tuple[int, int]]] | None,
    found: Found,
) -> None:
    if not texts:
        return
    lead = {"user_id": "u", "device_id": "d"}.get(id_type, f"d{id_type}+")
    keys = [(lead + text).encode("utf-8", "surrogatepass") for text in texts]
    bounds = np.zeros(len(keys) + 1, dtype=np.int64)
    np.cumsum([len(key) for key in keys], out=bounds[1:])
    shards, ordinals = lookup(np.frombuffer(b"".join(keys), dtype=np.uint8), bounds)
    found.given += len(texts)
    hit = shards >= 0
    for shard in np.unique(shards[hit]).tolist():
        found.shards[shard] |= BitMap(ordinals[shards == shard].tolist())
    found.found += int(hit.sum())
    for i in np.flatnonzero(~hit).tolist():
        places = () if by_value is None else by_value.get(texts[i], ())
        for shard, ordinal in places:
            found.shards[shard].add(ordinal)
        found.found += bool(places)
        if not places and len(found.examples) < _EXAMPLES:
            found.examples.append(texts[i])


def _by_value(view: View, id_type: str) -> dict[str, list[tuple[int, int]]]:
    """Who has which value of a typed id in his profile."""
    places: dict[str, list[tuple[int, int]]] = {}
    for shard in range(view.shards):
        texts = _texts(user_column(view, shard, id_type), None)
        for ordinal, text in enumerate(texts):
            if text is not None:
                places.setdefault(text, []).append((shard, ordinal))
    return places


def page_of(
    view: View,
    context: Context,
    shards: Sequence[BitMap],
    after: str | None,
    limit: int,
    id_type: str,
) -> Page:
    """Members after a cursor, by (shard, ordinal)."""
    check_id_type(id_type)
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"a page has 1 to {MAX_PAGE:,} members, got {limit}")
    shard, ordinal = (0, -1) if after is None else _cursor(after)
    users: list[dict[str, str | None]] = []
    last: str | None = None
    while shard < len(shards) and len(users) < limit:
        context.check()
        mine = ordinals_of(shards[shard])
        first = int(np.searchsorted(mine, ordinal + 1)) if ordinal >= 0 else 0
        some = mine[first : first + limit - len(users)]
        users += _named(view, context, shard, some, id_type)
        if len(some):
            last = f"{shard}-{int(some[-1])}"
        shard, ordinal = shard + 1, -1
    total = sum(map(len, shards))
    ended = last is None or _cursor(last) == _greatest(shards)
    return {"users": users, "next": None if ended else last, "total": total}


def _greatest(shards: Sequence[BitMap]) -> tuple[int, int]:
    last = max((i for i, one in enumerate(shards) if one), default=0)
    return last, shards[last].max() if shards[last] else -1


def _cursor(text: str) -> tuple[int, int]:
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text[:40]!r} is no cursor; take 'next' of the page before")
    return int(match[1]), int(match[2])


def _named(
    view: View, context: Context, shard: int, ordinals: U32, id_type: str
) -> list[dict[str, str | None]]:
    if not len(ordinals):
        return []
    users: list[dict[str, str | None]] = [
        {"user_id": user, "device_id": device} for user, device in view.names(shard, ordinals)
    ]
    if id_type == "device_id":
        key = ("last device", shard)
        column = view.cached(key, lambda: last_devices(view, context, shard))
        for user, device in zip(users, _texts(column, ordinals), strict=True):
            user["device_id"] = user["device_id"] or device
    elif id_type != "user_id":
        column = user_column(view, shard, id_type)
        for user, text in zip(users, _texts(column, ordinals), strict=True):
            user[id_type] = text
    return users


def _texts(column: Column | None, ordinals: U32 | None) -> list[str | None]:
    """Values as texts; those of all ordinals, or of some."""
    if column is None:
        return [] if ordinals is None else [None] * len(ordinals)
    chosen: Any = slice(None) if ordinals is None else ordinals
    values: list[Any] = column.values[chosen].tolist()
    if column.kind == Kind.STRING:
        known = column.dictionary or ()
        values = [known[code] if code < len(known) else None for code in values]
    elif column.kind not in (Kind.INT, Kind.FLOAT):
        return [None] * len(values)
    if column.present is None:
        return [str(value) for value in values]
    has = column.present[chosen].tolist()
    return [str(value) if one else None for value, one in zip(values, has, strict=True)]


def last_devices(view: View, context: Context, shard: int) -> Column | None:
    """The device id that came with each user's last event that has one. O(rows)."""
    from zuji.engine.types import Column

    codes: dict[str, int] = {}
    best = np.full(view.users[shard], np.iinfo(np.int64).min)
    device = np.zeros(view.users[shard], dtype=np.uint32)
    for source in view.sources[shard]:
        for run in source.runs.values():
            if DEVICE_ID not in run.props:
                continue
            context.check()
            column = run.column(DEVICE_ID)
            if column is None:
                continue
            users, offsets = run.users()
            owner = np.repeat(users, np.diff(offsets))
            times = run.times().astype(np.int64) + run.base_ms
            rows = np.arange(run.rows)
            if column.present is not None:
                rows = rows[column.present == 1]
            # Rows of a user ascend in time: his last one is where the next owner begins.
            own = owner[rows]
            rows = rows[np.append(own[1:] != own[:-1], True)] if len(rows) else rows
            who = owner[rows]
            later = times[rows] >= best[who]
            who, rows = who[later], rows[later]
            known = list(column.dictionary or ())
            table = np.array([codes.setdefault(t, len(codes)) for t in known] or [0], np.uint32)
            best[who] = times[rows]
            device[who] = table[column.values[rows]]
    if not codes:
        return None
    has = (best > np.iinfo(np.int64).min).astype(np.uint8)
    return Column(Kind.STRING, device, has, list(codes))


def place_in(view: View, shard: int, ordinal: int) -> tuple[int, int]:
    """Where somebody's rows are by now."""
    if ordinal not in nobody(view, shard):
        return shard, ordinal
    shards, ordinals = owners_of(view, shard, np.array([ordinal], dtype=np.uint32))
    return int(shards[0]), int(ordinals[0])
