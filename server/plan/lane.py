"""Which events of a batch need a look: the native decoder's columns against tables of the plan.

A lane is one decoder with its tables of names and strings, and what the plan says of each name, by
its code. What it passes is as the plan wants it; what it points out is looked at again, event by
event, by :mod:`.rules`, which alone decides. So it may point out too much, never too little (a test
compares them). O(cells) in NumPy, no object an event. One thread at a time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.batch import NONE, PROFILE_UNSET, TRACK, UNSET, Decoder
from zuji.engine.index._strings import StringTable
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from zuji.engine.batch import EventBatch
    from zuji.engine.limits import Limits
    from zuji.engine.types import I32, I64, U8, Flags
    from zuji.server.plan.rules import Rules, Scope

_UNKNOWN, _PRESET, _CONFLICT, _FIRST = 0, 1, 2, 3
"""Classes of property names; declared ones from _FIRST on."""
_VALUES = 1
"""Flag of a class: the plan lists its values."""
_NESTED = re.compile(rb'\{\s*"')
_NESTED_IN_JSON = re.compile(rb'\{(?:\s|\\[nrt])*\\"')
_MOST_KEPT = 100_000
"""Values whose being allowed is remembered."""


class Lane:
    """A decoder and what a plan says of the names that it has seen."""

    def __init__(self, rules: Rules, limits: Limits) -> None:
        self._rules = rules
        self._names, self._strings = StringTable(), StringTable()
        self._names.intern(b"")  # no name, so that there is a first one
        self._decoder = Decoder(limits, self._names, self._strings)
        self._events = {name: i for i, name in enumerate(rules.events)}
        self._event_look = np.array([e.deprecated for e in rules.events.values()] or [False])
        self._scopes = (_Classes(rules, rules.track), _Classes(rules, rules.user))
        self._allowed = self._pairs()
        self._saying = [
            (one.name, one.name.encode(), one.property.encode()) for one in rules.plan.purposes
        ]
        purposes = {name: i + 1 for i, (name, _, _) in enumerate(self._saying)}
        self._purpose_of = [
            {fold: purposes[one.name] for fold, one in scope.purpose.items()}
            for scope in (rules.track, rules.user)
        ]
        # by code of a name
        self._event: I32 = np.empty(0, np.int32)
        self._class: list[I32] = [np.empty(0, np.int32) for _ in range(2)]
        self._purpose: list[U8] = [np.empty(0, np.uint8) for _ in range(2)]
        self._secret: U8 = np.empty(0, np.uint8)
        self._fold: I32 = np.empty(0, np.int32)
        self._twin: U8 = np.empty(0, np.uint8)
        self._folds: dict[str, int] = {}
        self._known = 0
        self._nested: U8 = np.empty(0, np.uint8)  # by code of a string: 0 not asked, 1 no, 2 yes
        self._fine: dict[tuple[int, int], bool] = {}  # class and string → allowed

    @property
    def nbytes(self) -> int:
        """Bytes of memory, about."""
        return int(self._names.nbytes + self._strings.nbytes) + len(self._nested)

    def decoded(self, data: bytes) -> EventBatch:
        """The columns of a batch, whose names are known from now on.

        Raises:
            InvalidEvent: the batch as a whole cannot be read.
        """
        self._decoder.decode(data)
        batch = self._decoder.columns()
        self._decoder.release()
        if len(self._names) > self._known:
            self._learn()
        return batch

    def suspects(self, batch: EventBatch, data: bytes, now_ms: int) -> I64:
        """Rows of the batch that the rules must look at, ascending."""
        n = batch.n
        found = np.zeros(n, bool)
        if n == 0:
            return np.flatnonzero(found)
        rules = self._rules
        prop, filled = batch.cell_prop, batch.cell_kind != UNSET
        starts = batch.cell_start
        if rules.scrub:
            cells = (self._secret[prop] != 0) & filled
            cells |= self._with_json(batch, data)
            _mark(found, cells, starts)
        tracks = batch.kind == TRACK
        all_tracks = bool(tracks.all())
        lengths = np.diff(starts)
        row = np.repeat(np.arange(n), lengths)
        if self._saying:
            self._consent(found, batch, row, tracks, filled)
        if rules.enforced:
            late = (batch.time < now_ms - rules.back_ms) | (batch.time > now_ms + rules.ahead_ms)
            found |= late
            event = np.where(tracks, self._event[np.where(tracks, batch.event, 0)], _PRESET)
            found |= event == _UNKNOWN
            known = event >= _FIRST
            if self._event_look.any():
                found |= known & self._event_look[np.where(known, event - _FIRST, 0)]
            if all_tracks:
                self._by_class(found, batch, row, self._class[0][prop], self._scopes[0], None)
                if self._allowed is not None:
                    pair = self._allowed[event[row], self._class[0][prop]]
                    _mark(found, ~pair, starts)
            else:
                track_cell = tracks[row]
                for s, mine in ((0, track_cell), (1, ~track_cell)):
                    self._by_class(found, batch, row, self._class[s][prop], self._scopes[s], mine)
                if self._allowed is not None:
                    pair = self._allowed[event[row], self._class[0][prop]]
                    _mark(found, ~pair & track_cell, starts)
            twins = self._twin[prop] != 0
            if twins.any():
                self._twins(found, row[twins], self._fold[prop[twins]])
        return np.flatnonzero(found)

    # -- parts ---------------------------------------------------------------------------------

    def _by_class(
        self,
        found: Flags,
        batch: EventBatch,
        row: I64,
        classes: I32,
        scope: _Classes,
        mine: Flags | None,
    ) -> None:
        """Unknown names, other kinds, values to be looked at; ``mine``: cells of this scope."""
        wrong = (scope.accept[classes] >> batch.cell_kind) & 1 == 0
        if mine is not None:
            wrong &= mine
        found[row[wrong]] = True
        if not scope.with_values:
            return
        listed = (scope.flags[classes] & _VALUES != 0) & (batch.cell_kind != UNSET)
        if mine is not None:
            listed &= mine
        cells = np.flatnonzero(listed)
        for cell in cells[batch.cell_kind[cells] != Kind.STRING]:
            found[row[cell]] = True
        cells = cells[batch.cell_kind[cells] == Kind.STRING]
        pairs = classes[cells].astype(np.int64) << 32 | batch.cell_value[cells]
        unique, inverse = np.unique(pairs, return_inverse=True)
        fine = np.array(
            [self._is_fine(scope, int(p) >> 32, int(p) & NONE) for p in unique], dtype=bool
        )
        if len(fine):
            found[row[cells[~fine[inverse]]]] = True

    def _is_fine(self, scope: _Classes, number: int, code: int) -> bool:
        key = (number if scope is self._scopes[0] else -number, code)
        fine = self._fine.get(key)
        if fine is None:
            text = self._strings.get(code).decode()
            values = scope.values[number]
            fine = values is None or (False, text) in values
            if len(self._fine) < _MOST_KEPT:
                self._fine[key] = fine
        return fine

    def _consent(
        self, found: Flags, batch: EventBatch, row: I64, tracks: Flags, filled: Flags
    ) -> None:
        prop = batch.cell_prop
        purpose = np.where(tracks[row], self._purpose[0][prop], self._purpose[1][prop])
        cells = (purpose != 0) & filled & (batch.kind[row] != PROFILE_UNSET)
        for number in np.unique(purpose[cells]):
            _, name, saying = self._saying[int(number) - 1]
            given = np.zeros(batch.n, bool)
            said = (prop == self._names.find(saying)).nonzero()[0]
            kind, value = batch.cell_kind[said], batch.cell_value[said]
            text = self._strings.find(name)
            yes = (kind == Kind.BOOL) & (value == 1) | (kind == Kind.STRING) & (value == text)
            hits = np.concatenate(([0], np.cumsum(batch.list_item == text)))
            lists = kind == Kind.LIST
            at = np.where(lists, value, 0)
            if lists.any():
                has = hits[batch.list_start[at + 1]] > hits[batch.list_start[at]]
                yes |= lists & has
            given[row[said[yes]]] = True
            asking = row[cells & (purpose == number)]
            found[asking[~given[asking]]] = True

    def _with_json(self, batch: EventBatch, data: bytes) -> Flags:
        """Cells whose text may be JSON."""
        cells = np.zeros(len(batch.cell_prop), bool)
        if not _may_nest(data):
            return cells
        if len(self._strings) > len(self._nested):
            grown = np.zeros(max(1024, 2 * len(self._strings)), np.uint8)
            grown[: len(self._nested)] = self._nested
            self._nested = grown
        texts = np.flatnonzero(batch.cell_kind == Kind.STRING)
        codes = batch.cell_value[texts]
        self._ask(codes)
        self._ask(batch.list_item)
        cells[texts] = self._nested[codes] == 2
        lists = np.flatnonzero(batch.cell_kind == Kind.LIST)
        hits = np.concatenate(([0], np.cumsum(self._nested[batch.list_item] == 2)))
        at = batch.cell_value[lists]
        cells[lists] = hits[batch.list_start[at + 1]] > hits[batch.list_start[at]]
        return cells

    def _ask(self, codes: npt.NDArray[np.signedinteger | np.unsignedinteger]) -> None:
        for code in np.unique(codes[self._nested[codes] == 0]):
            start = self._strings.get(int(code)).lstrip()[:1]
            self._nested[code] = 2 if start in (b"{", b"[") else 1

    @staticmethod
    def _twins(found: Flags, row: I64, fold: I32) -> None:
        keys, count = np.unique(row << 32 | fold, return_counts=True)
        found[keys[count > 1] >> 32] = True

    # -- tables --------------------------------------------------------------------------------

    def _learn(self) -> None:
        """Takes in names that came since the last batch."""
        fresh = [b.decode() for b in map(self._names.get, range(self._known, len(self._names)))]
        rules = self._rules
        event = [
            self._events[name] + _FIRST
            if name in self._events
            else (_PRESET if rules.preset(name) else _UNKNOWN)
            for name in fresh
        ]
        self._event = np.append(self._event, np.array(event, np.int32))
        for s, scope in enumerate(self._scopes):
            classes = np.array([scope.of(name) for name in fresh], np.int32)
            self._class[s] = np.append(self._class[s], classes)
            asked = np.array([self._purpose_of[s].get(n.casefold(), 0) for n in fresh], np.uint8)
            self._purpose[s] = np.append(self._purpose[s], asked)
        secret = np.array([bool(rules.scrub.how(name)) for name in fresh], np.uint8)
        self._secret = np.append(self._secret, secret)
        folds = [self._folds.setdefault(n.casefold(), len(self._folds)) for n in fresh]
        self._fold = np.append(self._fold, np.array(folds, np.int32))
        self._twin = (np.bincount(self._fold)[self._fold] > 1).astype(np.uint8)
        self._known = len(self._names)

    def _pairs(self) -> npt.NDArray[np.bool_] | None:
        """Whether an event (by class: unknown and presets first) may have a property, by class."""
        rules, track = self._rules, self._scopes[0]
        if all(each is None for each in rules.allowed.values()):
            return None
        pairs = np.ones((_FIRST + len(rules.events), len(track.accept)), bool)
        for name, at in self._events.items():
            allowed = rules.allowed[name]
            if allowed is not None:
                pairs[_FIRST + at, _FIRST:] = [
                    each in allowed or rules.preset(each) for each in track.names
                ]
        return pairs


class _Classes:
    """Classes of property names in one scope, and what each accepts."""

    def __init__(self, rules: Rules, scope: Scope) -> None:
        self._preset = rules.preset
        self._folded = scope.folded
        self.names: Sequence[str] = list(scope.rules)
        self._of = {name: _FIRST + i for i, name in enumerate(self.names)}
        accept = [0, 0xFF, 0]
        flags = [0, 0, 0]
        self.values: list[frozenset[tuple[bool, object]] | None] = [None] * _FIRST
        for rule in scope.rules.values():
            kinds = 0xFF if rule.kind is None else 1 << rule.kind | 1 << UNSET
            if rule.kind == Kind.FLOAT and (not rules.strict or rule.name in scope.settled):
                kinds |= 1 << Kind.INT
            accept.append(0 if rule.deprecated else kinds)
            flags.append(0 if rule.values is None else _VALUES)
            self.values.append(rule.values)
        self.accept: U8 = np.array(accept, np.uint8)
        self.flags: U8 = np.array(flags, np.uint8)
        self.with_values = any(flags)

    def of(self, name: str) -> int:
        """The class of a name."""
        found = self._of.get(name)
        if found is not None:
            return found
        if name.casefold() in self._folded:
            return _CONFLICT
        return _PRESET if self._preset(name) else _UNKNOWN


def _may_nest(data: bytes) -> bool:
    """Whether a text in a batch may be JSON with a key: quick, as most have none."""
    if data[:1] not in (b"{", b"[") and not data[:1].isspace():
        return _NESTED.search(data) is not None
    if b"\\" not in data:
        return False
    return b"\\u" in data or _NESTED_IN_JSON.search(data) is not None


def _mark(found: Flags, cells: Flags, starts: I64) -> None:
    """Marks the rows of cells."""
    if cells.any():
        found[np.searchsorted(starts, np.flatnonzero(cells), side="right") - 1] = True
