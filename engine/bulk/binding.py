"""Binding a table that was read: names and kinds get their codes, ids their users, repeats are
dropped. Under the writer's lock, as a whole; rows that do not fit are rejected with their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.arrow_values import Plain, Refusals, in_kind
from zuji.engine.bulk._keys import id_keys
from zuji.engine.index.catalog import DEVICE_ID, PROFILE_EVENTS, PROFILE_SET
from zuji.engine.ingest.seen import FrameSays, see_frame
from zuji.engine.storage._pivot import gather_lists
from zuji.engine.storage.build import taken
from zuji.engine.storage.frame import Frame, FrameColumn
from zuji.engine.types import Kind
from zuji.engine.writer.refusing import MESSAGE, REASON

if TYPE_CHECKING:
    from zuji.engine.batch.columns import Rejected
    from zuji.engine.bulk.columns import ReadTable
    from zuji.engine.types import U16, U32, Flags
    from zuji.engine.writer import Writer


def bind_table(
    writer: Writer, read: ReadTable, received_ms: int
) -> tuple[FrameSays, list[Rejected], int]:
    """Frame of the rows that fit and what they say of ids, the rows that do not, and the number
    dropped as repeats.

    REQUIRES: the writer's lock.
    """
    refused = Refusals()
    refused.take(read.of_times)
    event, names = _events(writer, read, refused)
    _check_ids(read, refused)
    _refuse_erased(writer, read, refused)
    columns: dict[str, Plain] = {}
    for prop in read.props:
        refused.take(prop.refused)
        columns[prop.stored] = in_kind(
            prop.plain, prop.stored, prop.source, writer.catalog, refused
        )
    keep = np.ones(read.n, dtype=bool)
    if refused.rows:
        keep[list(refused.rows)] = False
    duplicates = _drop_repeats(writer, read, keep)
    if read.devices is not None:
        columns[DEVICE_ID] = read.devices
        writer.catalog.add_prop(DEVICE_ID, Kind.STRING)
    rows = None if keep.all() else np.flatnonzero(keep).astype(np.uint32)
    flags = None if rows is None else keep.view(np.uint8)
    keys = id_keys(read.user, read.device, read.state, flags, read.n, ord("u"), ord("d"))
    shard, ordinal = writer.identity.resolve(*keys)
    event = _kept(event, rows)
    frame = Frame(
        n=len(shard),
        shard=shard,
        ordinal=ordinal,
        event=event,
        event_names=names,
        time=_kept(read.time, rows),
        received=received_ms,
        columns={
            stored: made
            for stored, plain in columns.items()
            if (made := _frame_column(plain, rows)) is not None
        },
    )
    _note_pairs(writer, frame)
    return see_frame(frame, keys, writer.identity), refused.listed(), duplicates


def _events(writer: Writer, read: ReadTable, refused: Refusals) -> tuple[U16, list[str]]:
    """Index into the returned names of each row's event; new names are added to the catalog."""
    if read.mapping.profile:
        return np.zeros(read.n, np.uint16), [PROFILE_SET]
    path = read.mapping.event or "event"
    codes = read.event
    counts = (
        np.array([read.n])
        if codes is None
        else np.bincount(codes + 1, minlength=len(read.event_names) + 1)[1:]
    )
    if codes is not None and counts.sum() < read.n:
        refused.add(np.flatnonzero(codes < 0), "missing_event", path, "the row has no event name")
    limits = writer.config.limits
    good: list[str] = []
    place = np.zeros(len(read.event_names) + 1, np.uint16)
    for i, name in enumerate(read.event_names):
        if not counts[i]:
            continue
        wrong = _wrong_name(writer, name)
        if wrong is None:
            writer.catalog.add_event(name)
            place[i] = len(good)
            good.append(name)
            continue
        mine = np.arange(read.n) if codes is None else np.flatnonzero(codes == i)
        if wrong == "bad_name":
            message = f"{(name or '')[:40]!r} is not an event name"
        else:
            message = f"{name!r} would be one event name too many ({limits.project_event_names})"
        refused.add(mine, wrong, path, message)
    if codes is None:
        return np.zeros(read.n, np.uint16), good or ["-"]
    of_row: U16 = place[codes]
    return of_row, good or ["-"]


def _wrong_name(writer: Writer, name: str | None) -> str | None:
    limits = writer.config.limits
    if not name or len(name.encode()) > limits.name_bytes:
        return "bad_name"
    if name in PROFILE_EVENTS or min(name) < " ":
        return "bad_name"
    catalog = writer.catalog
    if name in catalog.event_codes or len(catalog.events) < limits.project_event_names + 2:
        return None
    return "too_many_event_names"


def _check_ids(read: ReadTable, refused: Refusals) -> None:
    if len(read.state) and read.state.max() > 1:
        missing, long = np.flatnonzero(read.state == 2), np.flatnonzero(read.state == 3)
        refused.add(missing, "missing_id", "user", "the row has neither user nor device id")
        refused.add(long, "id_too_long", "user", "an id has at most 255 bytes")


def _refuse_erased(writer: Writer, read: ReadTable, refused: Refusals) -> None:
    """Refuses rows of ids that were erased, where the project says so."""
    if writer.refusing.erased is None:
        return
    keep = np.ones(read.n, np.uint8)
    keep[list(refused.rows)] = 0
    keys = id_keys(read.user, read.device, read.state, keep, read.n, ord("u"), ord("d"))
    bad = np.flatnonzero(keep)[writer.refusing.among(*keys)]
    writer.refusing.counts[REASON] += len(bad)
    refused.add(bad, REASON, "user", MESSAGE)


def _drop_repeats(writer: Writer, read: ReadTable, keep: Flags) -> int:
    if read.insert_id is None:
        return 0
    valid = read.insert_id[2]
    asked = keep & (np.diff(read.insert_id[1]) > 0)  # an empty id is none, as in a batch
    if valid is not None:
        asked &= valid.view(np.bool_)
    rows = np.flatnonzero(asked)
    if not len(rows):
        return 0
    keys = id_keys(read.insert_id, None, None, asked.view(np.uint8), read.n, ord("i"), 0)
    repeats = rows[writer.dedup.add(*writer.dedup.keys(*keys)) == 0]
    keep[repeats] = False
    return len(repeats)


def _kept(values: Any, rows: U32 | None) -> Any:
    return values if rows is None else taken(values, rows)


def _frame_column(plain: Plain, rows: U32 | None) -> FrameColumn | None:
    """The kept rows of a column; rows without a value are left out."""
    kind, values, present, dictionary, offsets = plain
    where: U32 | None = None
    having = rows
    if present is not None:
        flags = _kept(present, rows)
        where = np.flatnonzero(flags).astype(np.uint32)
        if not len(where):
            return None
        if len(where) == len(flags):
            where = None
        else:
            having = where if rows is None else taken(rows, where)
    if offsets is None:
        return FrameColumn(kind, np.ascontiguousarray(_kept(values, having)), where, dictionary)
    items = np.ascontiguousarray(values, dtype=np.uint32)
    if having is not None:
        offsets, items = gather_lists(offsets, items, having)
    return FrameColumn(kind, items, where, dictionary, offsets)


def _note_pairs(writer: Writer, frame: Frame) -> None:
    """Which events have which properties."""
    pairs = writer.catalog.pairs()
    codes = np.array([writer.catalog.event_codes.get(name, 0) for name in frame.event_names])
    everywhere = np.flatnonzero(np.bincount(frame.event, minlength=len(codes)))
    for stored, column in frame.columns.items():
        used = everywhere
        if column.rows is not None:
            having = np.bincount(taken(frame.event, column.rows), minlength=len(codes))
            used = np.flatnonzero(having)
        pairs[codes[used], writer.catalog.prop_codes[stored]] = 1
