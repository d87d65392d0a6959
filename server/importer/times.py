"""Columns of times, however written, become int64 milliseconds UTC.

Understood: Arrow timestamps and dates, numbers of seconds to nanoseconds (the unit is read off
the size of the first chunk's values and then kept), RFC 3339 text, ``2026-10-01 08:00:00``,
``2026/10/01``, ``20261001`` and any ``--time-format``. Times without an offset are local times of
the given zone; of a doubled hour the first is taken, a skipped hour counts from the change.
All by column; a value that fits nothing becomes null and the caller refuses its row.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.compute as pc

from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from zuji.server.importer.mapping import TimeUnit

_PER_MS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_BOUNDS: tuple[tuple[float, TimeUnit], ...] = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))
_FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y%m%d%H%M%S",
    "%Y%m%d %H:%M:%S",
    "%Y%m%d",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日",
)
_NUMBER = r"^[+-]?\d+(\.\d+)?$"


class Clock:
    """Turns columns of one file into milliseconds; keeps the unit it found."""

    def __init__(self, tz: str, unit: TimeUnit = "auto", time_format: str | None = None) -> None:
        self.tz = tz
        self.unit = unit
        self.time_format = time_format

    def to_ms(self, column: pa.ChunkedArray) -> pa.Array:
        """int64 ms UTC, null where there was no value or none that can be read."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(array, pa.ChunkedArray):  # pyarrow keeps some types chunked
            array = pa.concat_arrays(array.chunks)
        kind = array.type
        if pa.types.is_dictionary(kind):
            return self.to_ms(array.dictionary).take(array.indices)
        if pa.types.is_timestamp(kind):
            return self.instants(array)
        if pa.types.is_date(kind):
            return self.instants(pc.cast(array, pa.timestamp("ms")))
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return self._numbers(pc.cast(array, pa.float64(), safe=False), array)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._text(pc.utf8_trim_whitespace(pc.cast(array, pa.string())))
        return pa.nulls(len(array), pa.int64())

    def instant(self, text: str) -> int:
        """One instant; ``now`` is the time of the call.

        :raises InvalidInput: the text is no time.
        """
        if text == "now":
            return time.time_ns() // 1_000_000
        found = self.to_ms(pa.chunked_array([[text]]))[0].as_py()
        if found is None:
            raise InvalidInput(f"{text!r} is not a time (see --time-format), nor the word now")
        return int(found)

    def instants(self, array: pa.Array) -> pa.Array:
        """A timestamp column as ms UTC; without a zone it is local time of ``tz``."""
        if array.type.tz is None:
            array = pc.assume_timezone(array, self.tz, ambiguous="earliest", nonexistent="latest")
        if array.type.unit == "s":
            return pc.cast(array, pa.timestamp("ms", "UTC")).view(pa.int64())
        ticks = array.view(pa.int64())
        per_ms = {"ms": 1, "us": 1_000, "ns": 1_000_000}[array.type.unit]
        if per_ms == 1:
            return ticks
        whole = pc.divide(ticks, per_ms)  # rounds towards zero; before 1970 that is up
        early = pc.and_(pc.less(ticks, 0), pc.not_equal(pc.multiply(whole, per_ms), ticks))
        return pc.if_else(early, pc.subtract(whole, 1), whole)

    def _numbers(self, values: pa.Array, original: pa.Array) -> pa.Array:
        unit = self._unit_of(values)
        if unit == "ms" and pa.types.is_integer(original.type):
            return pc.cast(original, pa.int64(), safe=False)
        scaled = pc.floor(pc.multiply(values, _PER_MS[unit]))
        fits = pc.less(pc.abs(scaled), 9e15)
        return pc.cast(pc.if_else(fits, scaled, pa.scalar(None, pa.float64())), pa.int64())

    def _unit_of(self, values: pa.Array) -> TimeUnit:
        if self.unit == "auto":
            size = pc.approximate_median(pc.abs(values)).as_py()
            if size is None:
                return "ms"
            self.unit = next((unit for bound, unit in _BOUNDS if size < bound), "ns")
        return self.unit

    def _text(self, array: pa.Array) -> pa.Array:
        if self.time_format is not None:
            parsed = pc.strptime(array, format=self.time_format, unit="s", error_is_null=True)
            if "%z" in self.time_format and parsed.type.tz is None:  # UTC, and older pyarrow
                parsed = pc.assume_timezone(parsed, "UTC")
            return self.instants(parsed)
        whole = self._iso(array)
        if whole is not None:
            return whole
        return self._piecewise(array)

    def _iso(self, array: pa.Array) -> pa.Array | None:
        """All values in ISO form and alike, the usual case: one cast."""
        head = array.slice(0, 100).drop_null().slice(0, 1)
        for kind in (pa.timestamp("ns", "UTC"), pa.timestamp("ns"), pa.timestamp("ms", "UTC")):
            try:
                pc.cast(head, kind)  # a whole column that does not fit is slow to find out
                return self.instants(pc.cast(array, kind))
            except pa.ArrowException:
                continue
        return None

    def _piecewise(self, array: pa.Array) -> pa.Array:
        """Mixed forms: value classes one after the other, the rest value by value."""
        result = pa.nulls(len(array), pa.int64())
        numeric = pc.match_substring_regex(array, _NUMBER)
        dated = pc.is_in(pc.utf8_length(array), pa.array([8, 14], pa.int32()))
        numeric = pc.and_(numeric, pc.invert(dated))
        if pc.any(numeric).as_py():
            numbers = pc.if_else(numeric, array, pa.scalar(None, pa.string()))
            result = self._numbers(pc.cast(numbers, pa.float64()), array)
            if result.null_count == array.null_count:
                return result
        for form in _FORMATS:
            parsed = pc.strptime(array, format=form, unit="s", error_is_null=True)
            if parsed.null_count < len(parsed):
                result = pc.coalesce(result, self.instants(_digits_only(parsed, array, form)))
                if result.null_count == array.null_count:
                    return result
        missing = pc.and_(pc.is_null(result), pc.is_valid(array))
        distinct = pc.unique(array.filter(missing))
        found = pa.array([self._one(text) for text in distinct.to_pylist()], pa.int64())
        slow = found.take(pc.index_in(array, distinct))
        return cast(pa.Array, pc.coalesce(result, slow))

    def _one(self, text: str) -> int | None:
        from datetime import datetime
        from zoneinfo import ZoneInfo

        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=ZoneInfo(self.tz))
            return int(moment.timestamp() * 1000 // 1)
        except (ValueError, OverflowError):
            return None


def _digits_only(parsed: pa.Array, array: pa.Array, form: str) -> pa.Array:
    """strptime takes ``%Y%m%d`` for texts that only start like it; those are left out."""
    if form != "%Y%m%d":
        return parsed
    exact = pc.match_substring_regex(array, r"^\d{8}$")
    return pc.if_else(exact, parsed, pa.scalar(None, parsed.type))
