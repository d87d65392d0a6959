"""Arrow columns to property values: the six kinds, casts to the kind that a property has, and what
is refused.

Work is by column or by distinct value, never by row, but for what is refused. Pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zuji.engine import calendars
from zuji.engine.batch.columns import Rejected
from zuji.engine.casting import NotCastable, cast
from zuji.engine.errors import InvalidInput
from zuji.engine.index.catalog import USER_PREFIX
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.index.catalog import Catalog
    from zuji.engine.limits import Limits
    from zuji.engine.types import I64, U8, U32


class Plain(NamedTuple):
    """Values of a column. ``present`` uint8[n] or None = all; ``dictionary`` of STRING and LIST
    codes; ``offsets`` of LIST.
    """

    kind: Kind
    values: Any
    present: U8 | None
    dictionary: Dictionary | None
    offsets: U32 | None


class Refusals:
    """Rows refused so far, with the first reason of each."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[str, str, str]] = {}

    def add(self, rows: I64, reason: str, path: str, message: str) -> None:
        """Refuses ``rows`` (integer indexes)."""
        for row in rows.tolist():
            self.rows.setdefault(row, (reason, path, message))

    def take(self, other: Refusals) -> None:
        """Refuses what ``other`` has; a row keeps its first reason."""
        for row, why in other.rows.items():
            self.rows.setdefault(row, why)

    def listed(self) -> list[Rejected]:
        """In row order; bulk rows are not kept as bytes, their source file has them."""
        return [
            Rejected(index=row, reason=reason, path=path, message=message, raw=b"")
            for row, (reason, path, message) in sorted(self.rows.items())
        ]


def local_to_utc(local: I64, tz: str) -> I64:
    """UTC ms of local wall-clock ms of a zone; any order."""
    if not len(local):
        return local
    starts, offsets = calendars.offsets(tz, int(local.min()), int(local.max()))
    if len(starts) == 1:
        out: I64 = local - offsets[0]
        return out
    order = np.argsort(local, kind="stable")
    out = np.empty_like(local)
    out[order] = calendars.from_local(np.ascontiguousarray(local[order]), tz)
    return out


def plain_column(
    table: pa.Table, source: str, name: str, *, limits: Limits, tz: str, refused: Refusals
) -> Plain | None:
    """Values of a column that becomes property ``name``; None when it has none.

    Raises:
        InvalidInput: ``name`` is no property name, or the column holds what no property can.
    """
    column = table.column(source)
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if not 0 < len(name.encode()) <= limits.name_bytes or name.startswith(USER_PREFIX):
        raise InvalidInput(
            f"{name!r} is not a property name; give the column another with `properties`"
        )
    plain = _plain(array, source, tz)
    if plain.present is not None and not plain.present.any():
        return None
    if plain.kind == Kind.FLOAT:
        bad = ~np.isfinite(plain.values)
        if bad.any():
            refused.add(np.flatnonzero(bad), "not_finite", source, f"{source!r} is NaN or infinite")
            plain = plain._replace(values=np.where(bad, 0.0, plain.values))
    if plain.dictionary is not None:
        _check_texts(plain, source, limits, refused)
    return plain


def in_kind(plain: Plain, stored: str, source: str, catalog: Catalog, refused: Refusals) -> Plain:
    """``plain`` in the kind that the project has for the property (the column's own, when new)."""
    known = catalog.kind_of(stored)
    if known is None:
        catalog.add_prop(stored, plain.kind)
    if known is None or known == plain.kind:
        return plain
    return _recast(plain, known, source, refused)


def encoded_texts(array: pa.Array) -> pa.Array:
    """A text column, dictionary-encoded; no null in the dictionary."""
    if not pa.types.is_dictionary(array.type):
        return array.dictionary_encode()
    if array.dictionary.null_count:
        return array.dictionary_decode().dictionary_encode()
    return array


def dictionary_of(texts: pa.Array) -> Dictionary:
    """An Arrow array of texts as a dictionary, without an object a text."""
    large = texts.cast(pa.large_string())
    _, offsets, data = large.buffers()
    if offsets is None or not len(large):
        return Dictionary(np.empty(0, np.uint8), np.zeros(1, np.int64))
    first = large.offset
    bounds = np.frombuffer(offsets, np.int64, count=first + len(large) + 1)[first:]
    text = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    start, end = int(bounds[0]), int(bounds[-1])
    return Dictionary(text[start:end], bounds - start)


def _check_texts(plain: Plain, source: str, limits: Limits, refused: Refusals) -> None:
    assert plain.dictionary is not None
    long = np.diff(plain.dictionary.offsets) > limits.string_bytes
    if long.any():
        hits = np.flatnonzero(long[plain.values])
        if plain.offsets is not None:
            hits = np.searchsorted(plain.offsets, hits, side="right") - 1
        refused.add(
            hits, "string_too_long", source, f"a string has at most {limits.string_bytes} bytes"
        )


def _plain(array: pa.Array, source: str, tz: str) -> Plain:
    kind = array.type
    present = None
    if array.null_count:
        present = (~array.is_null().to_numpy(zero_copy_only=False)).astype(np.uint8)
    if pa.types.is_null(kind):
        return Plain(
            Kind.STRING,
            np.zeros(len(array), np.uint32),
            np.zeros(len(array), np.uint8),
            Dictionary.of([]),
            None,
        )
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        if pa.types.is_dictionary(kind) and not (
            pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
        ):
            return _plain(array.dictionary_decode(), source, tz)
        encoded = encoded_texts(array)
        if array.null_count != encoded.null_count:  # a null in the dictionary is no value either
            present = encoded.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8)
        return Plain(
            Kind.STRING, _codes(encoded.indices), present, dictionary_of(encoded.dictionary), None
        )
    if pa.types.is_boolean(kind):
        values = array.fill_null(False).cast(pa.uint8()).to_numpy(zero_copy_only=False)
        return Plain(Kind.BOOL, values, present, None, None)
    if pa.types.is_integer(kind):
        values = _whole(array, 0).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return Plain(Kind.INT, values, present, None, None)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = _whole(array.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
        return Plain(Kind.FLOAT, values, present, None, None)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zoned = pa.types.is_timestamp(kind) and kind.tz is not None
        stamp = array.cast(pa.timestamp("ms", "UTC" if zoned else None), safe=False)
        values = _whole(stamp.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        return Plain(
            Kind.DATETIME, values if zoned else local_to_utc(values, tz), present, None, None
        )
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        flat = array.flatten().cast(pa.string()).fill_null("").dictionary_encode()
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        offsets = np.zeros(len(array) + 1, dtype=np.uint32)
        np.cumsum(lengths, out=offsets[1:])
        return Plain(
            Kind.LIST, _codes(flat.indices), present, dictionary_of(flat.dictionary), offsets
        )
    raise InvalidInput(
        f"column {source!r} is {kind}, which no property can hold; leave it out with `properties` "
        "or convert it"
    )


def _whole(array: pa.Array, value: float) -> pa.Array:
    return array.fill_null(value) if array.null_count else array


def _codes(indices: pa.Array) -> U32:
    """Dictionary indices, 0 where null; not copied when they are of 32 bits."""
    values = _whole(indices, 0).to_numpy(zero_copy_only=False)
    if values.dtype == np.int32:
        view: U32 = values.view(np.uint32)
        return view
    return values.astype(np.uint32)  # type: ignore[no-any-return]


def _recast(plain: Plain, known: Kind, source: str, refused: Refusals) -> Plain:
    """Casts value by distinct value; rows whose value does not fit are refused."""
    kind, values, present, dictionary, offsets = plain
    if kind == Kind.LIST:
        rows = np.arange(len(values) if offsets is None else len(offsets) - 1)
        rows = rows if present is None else rows[present == 1]
        refused.add(
            rows,
            "type_mismatch",
            source,
            f"{source!r} is {known.label} in this project, here a list",
        )
        n = len(offsets) - 1 if offsets is not None else 0
        return Plain(
            known, np.zeros(n, _DTYPE[known]), np.zeros(n, np.uint8), Dictionary.of([]), None
        )
    distinct, inverse = np.unique(values, return_inverse=True)
    inverse = inverse.reshape(-1)
    done: list[Any] = []
    for value in distinct.tolist():
        text = dictionary[value] if dictionary is not None else value
        try:
            done.append(cast(text, kind, known))
        except NotCastable as problem:
            done.append(None)
            rows = np.flatnonzero(
                (inverse == len(done) - 1) & (True if present is None else present == 1)
            )
            refused.add(
                rows,
                "type_mismatch",
                source,
                f"{source!r} is {known.label} in this project, here {kind.label}: {problem}",
            )
    if known in (Kind.STRING, Kind.LIST):
        texts = [t if isinstance(t, str) else (t[0] if t else "") for t in done]
        codes = inverse.astype(np.uint32)
        if known == Kind.STRING:
            return Plain(known, codes, present, Dictionary.of(texts), None)
        bounds = np.zeros(len(codes) + 1, dtype=np.uint32)
        np.cumsum(np.ones(len(codes)) if present is None else present, out=bounds[1:])
        return Plain(
            known,
            codes if present is None else codes[present == 1],
            present,
            Dictionary.of(texts),
            bounds,
        )
    table = np.array([0 if d is None else d for d in done], dtype=_DTYPE[known])
    return Plain(known, table[inverse], present, None, None)


_DTYPE = {
    Kind.BOOL: np.uint8,
    Kind.INT: np.int64,
    Kind.FLOAT: np.float64,
    Kind.DATETIME: np.int64,
    Kind.STRING: np.uint32,
    Kind.LIST: np.uint32,
}
