"""Values from outside: ids to ordinals, texts to values, pairs to the columns of a day."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine.errors import InvalidInput, InvalidQuery
from zuji.engine.people.tags.making import plain_value
from zuji.engine.people.tags.rules import check_value
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zuji.engine.types import U8

_TYPED: Final = re.compile(r"(?:\$identity_)?([A-Za-z][\w.-]{0,99})")
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
SHOWN_UNKNOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of the rows: values set, users who lost theirs, rows whose id nobody has, and
    some of those ids.
    """

    users: int
    cleared: int
    unknown: int
    unknown_ids: list[str]


def key_of(own_id: str, id_type: str) -> bytes:
    """The key of an id: ``user_id``, ``device_id``, or a typed one (``mobile``).

    Raises:
        InvalidInput: no such type of ids.
    """
    if id_type == "user_id":
        return b"u" + own_id.encode()
    if id_type == "device_id":
        return b"d" + own_id.encode()
    typed = _TYPED.fullmatch(id_type)
    if typed is None:
        raise InvalidInput(
            f"expected the type of the ids: user_id, device_id or a typed id such as mobile, got "
            f"{id_type!r}"
        )
    return f"d$identity_{typed[1]}+{own_id}".encode()


def resolved(
    find: Callable[[bytes], tuple[int, int] | None], own_id: str, id_type: str
) -> tuple[int, int] | None:
    """Shard and ordinal of an id, None when nobody has it. Raises InvalidInput."""
    if not isinstance(own_id, str) or not own_id:
        raise InvalidInput(f"expected an id, got {own_id!r}")
    return find(key_of(own_id, id_type))


def read_value(given: Any, kind: Kind, place: str) -> Any:
    """A value as a column of the kind holds it, None for none (an empty text of a file).

    Raises:
        InvalidInput: it cannot be read; ``place`` says where.
    """
    if given is None or (given == "" and kind != Kind.STRING):
        return None
    if isinstance(given, str) and kind not in (Kind.STRING, Kind.DATETIME):
        given = _parsed(given.strip(), kind, place)
    try:
        check_value(given, kind, place)
    except InvalidQuery as error:
        raise InvalidInput(f"{place}: {error.args[0]}") from None
    return plain_value(given, kind)


def _parsed(text: str, kind: Kind, place: str) -> Any:
    try:
        if kind == Kind.BOOL:
            return _TRUTHS[text.lower()]
        return int(text) if kind == Kind.INT else float(text)
    except (KeyError, ValueError):
        raise InvalidInput(f"{place}: expected a {kind.label}, got {text[:60]!r}") from None


def columns_of_rows(
    rows: Iterable[tuple[str, Any]],
    kind: Kind,
    users: Sequence[int],
    before: Sequence[Column | None],
    find: Callable[[bytes], tuple[int, int] | None],
    id_type: str,
) -> tuple[list[Column | None], Loaded]:
    """A column a shard out of (id, value) pairs onto the columns ``before``.

    Raises:
        InvalidInput: a value or id cannot be read; says in which row.
    """
    places: list[dict[int, Any]] = [{} for _ in users]
    unknown, shown = 0, list[str]()
    for number, (own_id, given) in enumerate(rows, 1):
        value = read_value(given, kind, f"row {number}")
        place = resolved(find, own_id, id_type)
        if place is None or place[1] >= users[place[0]]:
            unknown += 1
            if len(shown) < SHOWN_UNKNOWN:
                shown.append(own_id)
            continue
        places[place[0]][place[1]] = value
    columns, cleared = [], 0
    for mine, count, old in zip(places, users, before, strict=True):
        cleared += sum(value is None for value in mine.values())
        columns.append(_column(mine, kind, count, old))
    told = sum(len(mine) for mine in places) - cleared
    return columns, Loaded(told, cleared, unknown, shown)


def _column(values: dict[int, Any], kind: Kind, users: int, before: Column | None) -> Column | None:
    present: U8 = np.zeros(users, np.uint8)
    held: Any = np.zeros(users, np.uint32 if kind == Kind.STRING else DTYPES[kind])
    texts: dict[str, int] = {}
    if before is not None:
        present[:] = 1 if before.present is None else before.present
        held[:] = before.values
        for text in before.dictionary or ():
            texts.setdefault(text, len(texts))
    if values:
        who = np.fromiter(values, np.int64, len(values))
        has = np.fromiter((v is not None for v in values.values()), np.uint8, len(values))
        codes = values.values()
        if kind == Kind.STRING:
            own = [0 if v is None else texts.setdefault(v, len(texts)) for v in codes]
        else:
            own = [v or 0 for v in codes]
        held[who] = np.array(own, held.dtype)
        present[who] = has
    if not present.any():
        return None
    return Column(
        kind,
        held,
        None if present.all() else present,
        list(texts) if kind == Kind.STRING else None,
    )


def rows_of_csv(
    lines: Iterable[str], id_column: str, value_column: str
) -> Iterator[tuple[str, Any]]:
    """(id, value) pairs of a CSV text with a line of names.

    Raises:
        InvalidInput: a column is not there, or a line is too short.
    """
    reader = csv.reader(lines)
    names = [name.strip().lstrip("\ufeff") for name in next(reader, [])]
    for wanted in (id_column, value_column):
        if wanted not in names:
            there = ", ".join(names) or "nothing"
            raise InvalidInput(f"the file has no column {wanted!r}; its first line names {there}")
    at, value_at = names.index(id_column), names.index(value_column)
    for row in reader:
        if not row:
            continue
        if len(row) <= max(at, value_at):
            raise InvalidInput(f"line {reader.line_num} has {len(row)} columns, not {len(names)}")
        if row[at]:
            yield row[at], row[value_at]
