"""Dictionaries of string columns: code -> string, kept as bytes and decoded only when asked for.

A segment's dictionary is sorted by bytes and holds only used values, so order comparisons work on
codes and :meth:`Dictionary.find` is a binary search. A memtable's dictionaries are in order of
first use. Immutable; the decoded list is made once (two threads may both make it; one wins).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, overload

import numpy as np

from zuji.engine.storage._dictionary import (
    ascends,
    flag_equal,
    flag_part,
    flag_range,
    gather_strings,
    rank_strings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zuji.engine.types import I64, U8, U32


class Dictionary(Sequence[str]):
    """Strings by code. ``data`` uint8[total] UTF-8, ``offsets`` int64[n+1]."""

    __slots__ = ("_list", "_ordered", "data", "offsets")

    def __init__(self, data: U8, offsets: I64, *, ordered: bool | None = None) -> None:
        self.data = data
        self.offsets = offsets
        self._ordered = ordered
        self._list: list[str] | None = None

    @property
    def ordered(self) -> bool:
        """Whether the strings ascend by bytes, each one once. O(bytes), when first asked."""
        if self._ordered is None:
            self._ordered = bool(ascends(self.data, self.offsets))
        return self._ordered

    @classmethod
    def of(cls, strings: Iterable[str]) -> Dictionary:
        """From Python strings, in their order."""
        encoded = [s.encode() for s in strings]
        ends = accumulate(map(len, encoded), initial=0)
        offsets = np.fromiter(ends, np.int64, len(encoded) + 1)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def bytes_at(self, code: int) -> bytes:
        """UTF-8 bytes of a code."""
        if not 0 <= code < len(self):
            raise IndexError(code)
        return self.data[self.offsets[code] : self.offsets[code + 1]].tobytes()

    @overload
    def __getitem__(self, code: int) -> str: ...
    @overload
    def __getitem__(self, code: slice) -> list[str]: ...
    def __getitem__(self, code: int | slice) -> str | list[str]:
        if isinstance(code, slice):
            return self.to_list()[code]
        if self._list is not None:
            return self._list[code]
        at = int(code)
        return self.bytes_at(at + len(self) if at < 0 else at).decode()

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_list())

    def to_list(self) -> list[str]:
        """All strings; decoded at the first call."""
        if self._list is None:
            raw = self.data[: int(self.offsets[-1])].tobytes()
            text = raw.decode()
            cuts = self.offsets.tolist()
            if len(text) == len(raw):
                self._list = [text[a:b] for a, b in pairwise(cuts)]
            else:
                self._list = [raw[a:b].decode() for a, b in pairwise(cuts)]
        return self._list

    def find(self, text: str) -> int:
        """Code of a string, -1 when absent. O(log n) when ``ordered``, else O(n)."""
        wanted = _bytes(text)
        if not self.ordered:
            found = self.flags("eq", [text])
            return int(found.argmax()) if found is not None and found.any() else -1
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.bytes_at(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and self.bytes_at(low) == wanted else -1

    def flags(self, op: str, wanted: Sequence[str]) -> U8 | None:
        """uint8[n]: 1 for the strings for which the predicate holds; no Python string is made.

        ``op`` and ``wanted`` as in a query's filter: ``eq``, ``in``; ``contains``,
        ``starts_with``, ``ends_with``; ``between``, ``gt``, ``gte``, ``lt``, ``lte`` (bytewise).
        None for any other. O(wanted · log n) for equality when ``ordered``.
        """
        data, offsets = self.data, self.offsets
        if op in ("eq", "in"):
            encoded = sorted({_bytes(w) for w in wanted})
            bounds = np.zeros(len(encoded) + 1, np.int64)
            np.cumsum([len(e) for e in encoded], out=bounds[1:])
            texts = np.frombuffer(b"".join(encoded), np.uint8)
            return flag_equal(data, offsets, texts, bounds, self.ordered)
        first = _bytes(wanted[0])
        if op in ("contains", "starts_with", "ends_with"):
            return flag_part(data, offsets, op, first)
        if op == "between":
            last = _bytes(wanted[1])
            return flag_range(data, offsets, first, False, last, False, self.ordered)
        if op in ("gt", "gte"):
            return flag_range(data, offsets, first, op == "gt", None, False, self.ordered)
        if op in ("lt", "lte"):
            return flag_range(data, offsets, None, False, first, op == "lt", self.ordered)
        return None

    def pick(self, codes: U32) -> Dictionary:
        """A dictionary of the strings ``codes``, in that order."""
        return Dictionary(*gather_strings(self.data, self.offsets, codes))


def _bytes(text: str) -> bytes:
    """UTF-8 of a text that is asked for; of a lone surrogate, which no stored text has, the bytes
    that keep its place in the order.
    """
    return text.encode(errors="surrogatepass")


Strings = Sequence[str]


def as_dictionary(strings: Strings | None) -> Dictionary:
    """Any sequence of strings as a :class:`Dictionary`; None is the empty one."""
    if isinstance(strings, Dictionary):
        return strings
    return Dictionary.of(strings or ())


def sort_used(strings: Dictionary, used: U8) -> tuple[Dictionary, U32]:
    """Ordered dictionary of the codes marked in ``used`` uint8[n], and uint32[n] old code -> new
    code.

    Codes of equal strings become one. Unused codes map to 0. O(used · log used).
    """
    codes = np.flatnonzero(used).astype(np.uint32)
    picked = strings.pick(codes)
    ranks, first = rank_strings(picked.data, picked.offsets)
    lut = np.zeros(max(len(used), 1), np.uint32)
    lut[codes] = ranks
    result = picked.pick(first)
    return Dictionary(result.data, result.offsets, ordered=True), lut


def merge_sorted(parts: Sequence[Dictionary]) -> tuple[Dictionary, list[U32]]:
    """Union of dictionaries, ordered, and for each part uint32[len] its code -> new code."""
    sizes = [len(p) for p in parts]
    data = (
        np.concatenate([p.data[: int(p.offsets[-1])] for p in parts])
        if parts
        else np.empty(0, np.uint8)
    )
    offsets = np.zeros(sum(sizes) + 1, np.int64)
    at, base = 1, 0
    for part, size in zip(parts, sizes, strict=True):
        offsets[at : at + size] = part.offsets[1:] + base
        at += size
        base += int(part.offsets[-1])
    cuts = np.cumsum([0, *sizes], dtype=np.int64)
    ranks, first = rank_strings(data, offsets, cuts if parts else None)
    merged = Dictionary(*gather_strings(data, offsets, first), ordered=True)
    return merged, [ranks[a:b] for a, b in pairwise(cuts.tolist())]
