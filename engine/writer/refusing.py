"""Refusing: what comes under an id that was erased, and that nobody has since, is not taken.

Off unless a project says so (``erased_ids = refuse``). An event goes by the id whose it is: its
user id, or else its device id. What is refused is counted by reason and told to who sent it, and
never stored: not in the log, which gets the batch without it, and not in the quarantine.

An id that is known is nobody's who was erased, so only ids that are new to the project are hashed:
a batch of known ones costs one look-up an id. REQUIRES, of all methods: the writer's lock.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgpack
import numpy as np

from zuji.engine.batch import slice_events
from zuji.engine.batch.columns import NONE, Rejected
from zuji.engine.distinct import unique
from zuji.engine.index.identity import gather_bytes
from zuji.engine.ingest._bind import keys_of
from zuji.engine.writer.state import AppendResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.batch.columns import EventBatch
    from zuji.engine.ingest import Interned
    from zuji.engine.types import I64, U8, Flags
    from zuji.engine.writer.state import State

REASON: Final = "erased_id"
MESSAGE: Final = "this id was erased, and the project does not take it again"
_BAD_LINE: Final = "bad_json"


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a batch: ``raw``, a batch of those events. ``places``: position of each in
    the batch as sent. ``refused``: events of erased ids. ``lines``: lines that are no JSON, which
    no batch can hold as they are; they are for the quarantine.
    """

    raw: bytes
    places: list[int]
    refused: list[Rejected]
    lines: list[Rejected]

    def told(self, result: AppendResult) -> AppendResult:
        """The result of ``raw`` as one of the batch as sent."""
        own = [replace(one, index=self.places[one.index]) for one in result.rejected]
        rejected = sorted([*own, *self.refused, *self.lines], key=lambda one: one.index)
        repeated = tuple(self.places[at] for at in result.repeated)
        return AppendResult(result.accepted, result.duplicates, tuple(rejected), repeated)


class Refusing:
    """Finds what is to be refused. ``erased``: whether an id's key (``u…``, ``d…``) is that of
    somebody erased; None: such ids are taken. ``carrying``: whether an event that is refused
    anyway has such an id. ``counts``: events refused since opening, by reason.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.erased: Callable[[bytes], bool] | None = None
        self.carrying: Callable[[Rejected], bool] = lambda _: False
        self.counts: Counter[str] = Counter()

    def refuses(self, one: Rejected) -> bool:
        """Whether an event that cannot be stored anyway is not to be kept either; counts it."""
        if self.erased is None or not self.carrying(one):
            return False
        self.counts[REASON] += 1
        return True

    def left(self, table: Interned, raw: bytes) -> Left | None:
        """What is left of the batch that ``table`` has decoded from ``raw``; None: all of it."""
        if self.erased is None:
            return None
        columns = table.decoder.columns()
        bad = self._bad(table, columns)
        gone = {int(at): "user_id" for at in columns.index[bad & (columns.user != NONE)]}
        gone |= {int(at): "device_id" for at in columns.index[bad & (columns.user == NONE)]}
        wrong = table.decoder.rejected
        gone |= {one.index: one.path for one in wrong if self.carrying(one)}
        if not gone:
            return None
        self.counts[REASON] += len(gone)
        lines = [one for one in wrong if one.reason == _BAD_LINE and one.index not in gone]
        aside = {one.index for one in lines}
        there = sorted({*columns.index.tolist(), *(one.index for one in wrong)})
        places = [at for at in there if at not in gone and at not in aside]
        texts = slice_events(raw, sorted(gone))
        refused = [
            Rejected(at, REASON, gone[at], MESSAGE, text)
            for at, text in zip(sorted(gone), texts, strict=True)
        ]
        return Left(_batch_of(raw, places, columns), places, refused, lines)

    def _bad(self, table: Interned, columns: EventBatch) -> Flags:
        """Rows that belong to an erased id."""
        by_device = columns.user == NONE
        users, devices = unique(columns.user[~by_device]), unique(columns.device[by_device])
        codes = np.concatenate([users, devices])
        if not len(codes):
            return np.zeros(columns.n, np.bool_)
        second = np.repeat(np.array([0, 1], np.uint8), [len(users), len(devices)])
        bad = self.among(*keys_of(table.strings, codes, second, ord("u"), ord("d")))
        mine, theirs = users[bad[: len(users)]], devices[bad[len(users) :]]
        found: Flags = np.where(
            by_device, np.isin(columns.device, theirs), np.isin(columns.user, mine)
        )
        return found

    def among(self, data: U8, offsets: I64) -> Flags:
        """Which of some ids (end to end, int64[n+1]) were erased, and are nobody's since."""
        bad = np.zeros(len(offsets) - 1, np.bool_)
        if self.erased is None:
            return bad
        strange = self._strangers(data, offsets)
        hashed: dict[bytes, bool] = {}
        for at in strange.tolist():
            key = data[offsets[at] : offsets[at + 1]].tobytes()
            if key not in hashed:
                hashed[key] = self.erased(key)
            bad[at] = hashed[key]
        return bad

    def _strangers(self, data: U8, offsets: I64) -> I64:
        """Places of the ids that nobody has."""
        state = self._state
        shards, _ = state.identity.look_up(data, offsets)
        rest: I64 = np.flatnonzero(shards < 0)
        if not len(rest):
            return rest
        known = state.links.find(*gather_bytes(data, offsets, rest))
        owner = state.links.resolve(known, np.zeros(len(known), np.int64))
        erased = state.identity.erased.all
        nobody = [
            place < 0 or (place & 0xFFFFFFFF) in erased[place >> 32] for place in owner.tolist()
        ]
        found: I64 = rest[np.array(nobody, np.bool_)]
        return found


def _batch_of(raw: bytes, places: list[int], columns: EventBatch) -> bytes:
    """A batch of the events at some places of another, in its form, with its id."""
    events = slice_events(raw, places) if places else []
    batch_id = columns.batch_id
    if raw[0] < 0x80:  # JSON
        told = b"" if batch_id is None else b'"batch_id":' + json.dumps(batch_id.decode()).encode()
        comma = b"," if told else b""
        return b"{" + told + comma + b'"events":[' + b",".join(events) + b"]}"
    packer = msgpack.Packer()
    head: bytes = packer.pack_array_header(len(events))
    if batch_id is not None:
        name: bytes = packer.pack_map_header(2) + packer.pack("batch_id")
        head = name + packer.pack(batch_id.decode()) + packer.pack("events") + head
    return head + b"".join(events)
