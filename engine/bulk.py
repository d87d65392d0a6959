"""Bulk loading of Arrow tables: columns go to columns, without the WAL; one manifest edit makes a
table durable.

A table is bound as a whole under the writer's lock: names, kinds, users, repeats. Rows that do not
fit are rejected with their row number. O(rows · columns), no Python object a row except for what is
cast or rejected.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zuji.engine.arrow_values import Plain, Refusals, local_to_utc, property_column
from zuji.engine.errors import InvalidInput
from zuji.engine.index.catalog import DEVICE_ID, PROFILE_EVENTS, PROFILE_SET, USER_PREFIX
from zuji.engine.storage.frame import Frame, FrameColumn
from zuji.engine.types import Kind
from zuji.engine.writer import AppendResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.types import I64, U16, U32, Flags
    from zuji.engine.writer import Writer


class TableMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which columns of a table mean what.

    ``event`` names the column of event names, or ``event_name`` is the one event of all rows.
    ``time``: timestamps, RFC 3339 text or integers (``time_unit`` "s" or "ms"); without a zone they
    are read in the project's. ``properties``: column → property name (None: every other column
    under its own name). ``profile``: rows are user properties.
    """

    event: str | None = None
    event_name: str | None = None
    user: str | None = None
    device: str | None = None
    time: str | None = None
    time_unit: str = "ms"
    insert_id: str | None = None
    properties: dict[str, str] | None = None
    profile: bool = False


def check_mapping(table: pa.Table, mapping: TableMapping) -> dict[str, str]:
    """Property columns → names, after checking that the mapping fits the table.

    Raises:
        InvalidInput: a named column is not there, or event, time or id are not given.
    """
    columns = table.column_names
    for role in ("event", "user", "device", "time", "insert_id"):
        name = getattr(mapping, role)
        if name is not None and name not in columns:
            raise InvalidInput(
                f"there is no column {name!r} (for {role}); the columns are {', '.join(columns)}"
            )
    if not mapping.profile and (mapping.event is None) == (mapping.event_name is None):
        raise InvalidInput("name either the column of event names or one event name")
    if mapping.user is None and mapping.device is None:
        raise InvalidInput("name the column of user ids or of device ids")
    if mapping.time is None and not mapping.profile:
        raise InvalidInput("name the column of times")
    used = {mapping.event, mapping.user, mapping.device, mapping.time, mapping.insert_id}
    if mapping.properties is None:
        return {c: c for c in columns if c not in used}
    for name in mapping.properties:
        if name not in columns:
            raise InvalidInput(f"there is no column {name!r}; the columns are {', '.join(columns)}")
    return dict(mapping.properties)


def bind_table(
    writer: Writer, table: pa.Table, mapping: TableMapping, received_ms: int
) -> tuple[Frame, list[Rejected], int]:
    """Frame of the rows that fit, the rows that do not, and the number dropped as repeats."""
    props = check_mapping(table, mapping)
    n = table.num_rows
    refused = Refusals()
    time = _times(table, mapping, writer, refused)
    event, names = _events(table, mapping, writer, refused)
    ids, is_device, id_codes = _ids(table, mapping, n, refused)
    columns: dict[str, Plain] = {}
    for source, name in props.items():
        stored = USER_PREFIX + name if mapping.profile else name
        found = property_column(
            table,
            source,
            stored,
            name,
            catalog=writer.catalog,
            limits=writer.config.limits,
            tz=writer.tz,
            refused=refused,
        )
        if found is not None:
            columns[stored] = found
    keep = np.ones(n, dtype=bool)
    if refused.rows:
        keep[list(refused.rows)] = False
    duplicates = _drop_repeats(table, mapping, writer, keep)
    rows = np.flatnonzero(keep)
    if mapping.user is not None and mapping.device is not None:
        both = _devices(table, mapping, ~is_device)
        if both is not None:
            columns[DEVICE_ID] = both
            writer.catalog.add_prop(DEVICE_ID, Kind.STRING)
    shard, ordinal = _resolve(writer, ids, id_codes, keep)
    frame_columns = {}
    pairs = writer.catalog.pairs()
    for stored, plain in columns.items():
        made = _frame_column(plain, rows, len(rows) == n)
        if made is None:
            continue
        frame_columns[stored] = made
        code = writer.catalog.prop_codes[stored]
        having = event[rows] if made.rows is None else event[rows[made.rows]]
        codes = np.array([writer.catalog.event_codes[name] for name in names])
        pairs[codes[np.flatnonzero(np.bincount(having, minlength=len(names)))], code] = 1
    whole = len(rows) == n
    frame = Frame(
        n=len(rows),
        shard=shard,
        ordinal=ordinal,
        event=(event if whole else event[rows]).astype(np.uint16),
        event_names=names,
        time=time if whole else time[rows],
        received=received_ms,
        columns=frame_columns,
    )
    return frame, refused.listed(), duplicates


def _times(table: pa.Table, mapping: TableMapping, writer: Writer, refused: Refusals) -> I64:
    if mapping.time is None:
        return np.full(table.num_rows, writer.now_ms(), dtype=np.int64)
    column = table.column(mapping.time).combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = column.type
    missing = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    refused.add(missing, "missing_time", mapping.time, "the row has no time")
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        times = _times_of_texts(column, writer, refused, mapping.time)
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if pa.types.is_date(kind):
            column = column.cast(pa.timestamp("ms"))
        zoned = pa.types.is_timestamp(kind) and kind.tz is not None
        times = column.cast(pa.timestamp("ms", "UTC" if zoned else None), safe=False)
        times = times.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        if not zoned:
            times = local_to_utc(times, writer.tz)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        scale = {"s": 1000, "ms": 1}.get(mapping.time_unit)
        if scale is None:
            raise InvalidInput(f"time_unit is 's' or 'ms', got {mapping.time_unit!r}")
        numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
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
    limits = writer.config.limits
    if len(times) and (times.min() < limits.time_min_ms or times.max() >= limits.time_max_ms):
        wrong = np.flatnonzero((times < limits.time_min_ms) | (times >= limits.time_max_ms))
        wrong = np.setdiff1d(wrong, missing)
        message = "the time lies outside the years 1900 to 2200"
        refused.add(wrong, "time_out_of_range", mapping.time, message)
    if refused.rows:
        times = np.array(times, dtype=np.int64)
        times[list(refused.rows)] = 0
    return np.ascontiguousarray(times, dtype=np.int64)


def _times_of_texts(column: pa.Array, writer: Writer, refused: Refusals, path: str) -> I64:
    """RFC 3339 texts; one without offset ("2026-10-01 08:00:00") is local time of the project."""
    encoded = column.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    values = np.zeros(len(texts) + 1, dtype=np.int64)
    bad = np.zeros(len(texts) + 1, dtype=bool)
    from datetime import datetime

    from zuji.engine import calendars

    zone = calendars.zone(writer.tz)
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


def _events(
    table: pa.Table, mapping: TableMapping, writer: Writer, refused: Refusals
) -> tuple[I64, list[str]]:
    """Index into the returned names of each row's event."""
    n = table.num_rows
    if mapping.profile:
        return np.zeros(n, dtype=np.int64), [PROFILE_SET]
    if mapping.event_name is not None:
        names, codes = [mapping.event_name], np.zeros(n, dtype=np.int64)
    else:
        assert mapping.event is not None
        names, codes = _texts(table, mapping.event)
        refused.add(
            np.flatnonzero(codes < 0), "missing_event", mapping.event, "the row has no event name"
        )
    limits = writer.config.limits
    good: list[str] = []
    table_of = np.zeros(len(names) + 1, dtype=np.int64)
    path = mapping.event or "event"
    counts = np.bincount(codes + 1, minlength=len(names) + 1)[1:]
    for i, name in enumerate(names):
        if not counts[i]:
            continue
        encoded = name.encode()
        if not 0 < len(encoded) <= limits.name_bytes or name in PROFILE_EVENTS or min(name) < " ":
            refused.add(
                np.flatnonzero(codes == i), "bad_name", path, f"{name[:40]!r} is not an event name"
            )
        elif (
            name not in writer.catalog.event_codes
            and len(writer.catalog.events) >= limits.project_event_names + 2
        ):
            message = f"{name!r} would be one event name too many"
            refused.add(np.flatnonzero(codes == i), "too_many_event_names", path, message)
        else:
            writer.catalog.add_event(name)
            table_of[i] = len(good)
            good.append(name)
    return table_of[codes], good or ["-"]


def _texts(table: pa.Table, name: str) -> tuple[list[str], I64]:
    """Distinct texts of a column, and the index of each row's (-1 = null)."""
    column = table.column(name)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if pa.types.is_dictionary(column.type):
        encoded = column
    else:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            column = _as_text(column)
        encoded = column.dictionary_encode()
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    texts = encoded.dictionary.cast(pa.string()).to_pylist()
    return ["" if t is None else t for t in texts], np.asarray(codes, dtype=np.int64)


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        whole = pc.cast(column, pa.int64(), safe=False)
        same = pc.equal(pc.cast(whole, column.type, safe=False), column)
        if pc.all(same.fill_null(True)).as_py():
            return whole.cast(pa.string())
    return column.cast(pa.string())


def _ids(
    table: pa.Table, mapping: TableMapping, n: int, refused: Refusals
) -> tuple[list[bytes], Flags, I64]:
    """Distinct id keys, whether each row goes by its device, and the key of each row."""
    keys: list[bytes] = []
    code = np.full(n, -1, dtype=np.int64)
    is_device = np.zeros(n, dtype=bool)
    for column, prefix in ((mapping.user, b"u"), (mapping.device, b"d")):
        if column is None:
            continue
        texts, codes = _texts(table, column)
        if not keys and "" not in texts and not (len(codes) and codes.min() < 0):
            keys = [prefix + t.encode() for t in texts]
            code = codes
            is_device[:] = prefix == b"d"
            break
        empty = np.array([not t for t in texts] + [True])
        rows = np.flatnonzero((code < 0) & ~empty[codes])
        code[rows] = codes[rows] + len(keys)
        is_device[rows] = prefix == b"d"
        keys += [prefix + t.encode() for t in texts]
    refused.add(
        np.flatnonzero(code < 0), "missing_id", "user", "the row has neither user nor device id"
    )
    long = np.array([len(k) > 256 for k in keys] + [False])
    refused.add(np.flatnonzero(long[code]), "id_too_long", "user", "an id has at most 255 bytes")
    return keys, is_device, code


def _resolve(writer: Writer, keys: list[bytes], codes: I64, keep: Flags) -> tuple[U16, U32]:
    wanted = codes if keep.all() else codes[keep]
    used = np.flatnonzero(np.bincount(wanted, minlength=1)) if len(wanted) else wanted
    chosen = [keys[i] for i in used.tolist()]
    bounds = np.zeros(len(chosen) + 1, dtype=np.int64)
    np.cumsum([len(k) for k in chosen], out=bounds[1:])
    data = np.frombuffer(b"".join(chosen), dtype=np.uint8)
    shard_of, ordinal_of = writer.identity.resolve(data, bounds)
    shard = np.zeros(max(len(keys), 1), dtype=np.uint16)
    ordinal = np.zeros(max(len(keys), 1), dtype=np.uint32)
    shard[used], ordinal[used] = shard_of, ordinal_of
    return shard[wanted], ordinal[wanted]


def _drop_repeats(table: pa.Table, mapping: TableMapping, writer: Writer, keep: Flags) -> int:
    if mapping.insert_id is None:
        return 0
    column = table.column(mapping.insert_id)
    column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = _as_text(
            column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        )
    given = ~column.is_null().to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(keep & given)
    if not len(rows):
        return 0
    texts = column.take(pa.array(rows)).cast(pa.large_string())
    prefixed = pc.binary_join_element_wise(
        pa.scalar("i", pa.large_string()), texts, pa.scalar("", pa.large_string())
    )
    buffers = prefixed.buffers()
    offsets = np.frombuffer(buffers[1], dtype=np.int64, count=len(prefixed) + 1 + prefixed.offset)[
        prefixed.offset :
    ]
    data = (
        np.frombuffer(buffers[2], dtype=np.uint8)
        if buffers[2] is not None
        else np.empty(0, np.uint8)
    )
    hi, lo = writer.dedup.keys(data, np.ascontiguousarray(offsets))
    repeats = rows[writer.dedup.add(hi, lo) == 0]
    keep[repeats] = False
    return len(repeats)


def _devices(table: pa.Table, mapping: TableMapping, by_user: Flags) -> Plain | None:
    assert mapping.device is not None
    texts, codes = _texts(table, mapping.device)
    present = (by_user & (codes >= 0)).astype(np.uint8)
    if not present.any():
        return None
    filled = np.where(codes < 0, 0, codes).astype(np.uint32)
    return Plain(Kind.STRING, filled, present, texts, None)


def _frame_column(plain: Plain, rows: I64, whole: bool) -> FrameColumn | None:
    """The kept rows of a column; rows without a value are left out."""
    kind, values, present, dictionary, offsets = plain
    if kind == Kind.LIST:
        assert offsets is not None
        having = rows if present is None else rows[present[rows] == 1]
        where = None
        if present is not None and len(having) < len(rows):
            where = np.flatnonzero(present[rows] == 1).astype(np.uint32)
        if not len(having):
            return None
        starts, lengths = (
            offsets[having].astype(np.int64),
            np.diff(offsets)[having].astype(np.int64),
        )
        bounds = np.zeros(len(having) + 1, dtype=np.uint32)
        np.cumsum(lengths, out=bounds[1:])
        index = np.arange(int(bounds[-1])) + np.repeat(
            starts - bounds[:-1].astype(np.int64), lengths
        )
        return FrameColumn(kind, values[index], where, dictionary, bounds)
    if present is None:
        kept = values if whole else values[rows]
        return FrameColumn(kind, np.ascontiguousarray(kept), None, dictionary, None)
    where = np.flatnonzero(present[rows] == 1).astype(np.uint32)
    if not len(where):
        return None
    return FrameColumn(kind, np.ascontiguousarray(values[rows[where]]), where, dictionary, None)


def to_mapping(mapping: TableMapping | Mapping[str, Any]) -> TableMapping:
    """A mapping from its JSON values.

    Raises:
        InvalidInput: a field is unknown or of the wrong type.
    """
    if isinstance(mapping, TableMapping):
        return mapping
    try:
        return msgspec.convert(dict(mapping), TableMapping)
    except msgspec.ValidationError as problem:
        raise InvalidInput(f"mapping: {problem}") from None


def load_table(
    writer: Writer,
    table: pa.Table,
    mapping: TableMapping,
    ledger: tuple[str, int] | None,
    bound: Callable[[], object] = lambda: None,
    received_ms: int | None = None,
    failed: list[BaseException] | None = None,
) -> AppendResult:
    """Binds and stores a table; see ``Engine.append_table``. ``bound`` is called when the next may
    be bound; ``failed`` is shared by the tables of one stream.
    """
    try:
        check_mapping(table, mapping)
    except InvalidInput as problem:
        if failed is not None:
            failed.append(problem)
        raise
    done: list[AppendResult] = []

    def make() -> tuple[Frame | None, dict[str, Any]]:
        frame, rejected, duplicates = bind_table(
            writer, table, mapping, writer.now_ms() if received_ms is None else received_ms
        )
        done.append(AppendResult(frame.n, duplicates, tuple(rejected)))
        return frame, {} if ledger is None else {"imports": {ledger[0]: ledger[1]}}

    writer.load(make, bound, failed)
    return done[0]


def load_tables(
    writer: Writer,
    tables: Iterable[pa.Table | tuple[pa.Table, int]],
    mapping: TableMapping,
    key: str | None,
) -> Iterator[AppendResult]:
    """Two tables at a time: one being bound, one being written. Results in order."""
    waiting: deque[Future[AppendResult]] = deque()
    failed: list[BaseException] = []
    received = writer.now_ms()  # one time for all: it then costs nothing to store
    with ThreadPoolExecutor(2, thread_name_prefix="zuji-bulk") as pool:
        try:
            for item in tables:
                table, position = item if isinstance(item, tuple) else (item, None)
                ledger = None if key is None or position is None else (key, position)
                next_may_bind = threading.Event()
                future = pool.submit(
                    load_table, writer, table, mapping, ledger, next_may_bind.set, received, failed
                )
                future.add_done_callback(lambda _, event=next_may_bind: event.set())  # type: ignore[misc]
                waiting.append(future)
                next_may_bind.wait()
                while len(waiting) > 1 or (waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
