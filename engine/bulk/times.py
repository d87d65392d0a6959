"""Times of table rows: timestamps, RFC 3339 texts or numbers to ms UTC. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from zuji.engine.arrow_values import Refusals, local_to_utc
from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from zuji.engine.bulk.mapping import TableMapping
    from zuji.engine.limits import Limits
    from zuji.engine.types import I64


def times_of(
    table: pa.Table, mapping: TableMapping, tz: str, limits: Limits, now_ms: int, refused: Refusals
) -> I64:
    if mapping.time is None:
        return np.full(table.num_rows, now_ms, dtype=np.int64)
    column = table.column(mapping.time).combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = column.type
    missing = np.empty(0, np.int64)
    if column.null_count:
        missing = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    refused.add(missing, "missing_time", mapping.time, "the row has no time")
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        times = _times_of_texts(column, tz, refused, mapping.time)
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if pa.types.is_date(kind):
            column = column.cast(pa.timestamp("ms"))
        zoned = pa.types.is_timestamp(kind) and kind.tz is not None
        times = column.cast(pa.timestamp("ms", "UTC" if zoned else None), safe=False)
        times = _whole(times.cast(pa.int64())).to_numpy(zero_copy_only=False)
        if not zoned:
            times = local_to_utc(times, tz)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        scale = {"s": 1000, "ms": 1}.get(mapping.time_unit)
        if scale is None:
            raise InvalidInput(f"time_unit is 's' or 'ms', got {mapping.time_unit!r}")
        numbers = _whole(column).to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):
            times = (
                numbers.astype(np.int64) * scale
                if pa.types.is_integer(kind)
                else np.nan_to_num(numbers * scale, nan=1e15, posinf=1e15, neginf=-1e15)
                .round()
                .astype(np.int64)
            )
    else:
        raise InvalidInput(
            f"column {mapping.time!r} is {kind}; a time is a timestamp, RFC 3339 text or a number"
        )
    if len(times) and (times.min() < limits.time_min_ms or times.max() >= limits.time_max_ms):
        wrong = np.flatnonzero((times < limits.time_min_ms) | (times >= limits.time_max_ms))
        wrong = np.setdiff1d(wrong, missing)
        message = "the time lies outside the years 1900 to 2200"
        refused.add(wrong, "time_out_of_range", mapping.time, message)
    if refused.rows:
        times = np.array(times, dtype=np.int64)
        times[list(refused.rows)] = 0
    return np.ascontiguousarray(times, dtype=np.int64)


def _times_of_texts(column: pa.Array, tz: str, refused: Refusals, path: str) -> I64:
    """RFC 3339 texts; one without offset ("2026-10-01 08:00:00") is local time of the project."""
    encoded = column.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    values = np.zeros(len(texts) + 1, dtype=np.int64)
    bad = np.zeros(len(texts) + 1, dtype=bool)
    from datetime import datetime

    from zuji.engine import calendars

    zone = calendars.zone(tz)
    for i, text in enumerate(texts):
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone)
            values[i] = round(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            bad[i] = True
    codes = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False).astype(np.int64)
    refused.add(
        np.flatnonzero(bad[codes]), "bad_time", path, "the text is not an RFC 3339 date and time"
    )
    of_row: I64 = values[codes]
    return of_row


def _whole(column: pa.Array) -> pa.Array:
    return column.fill_null(0) if column.null_count else column
