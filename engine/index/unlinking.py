"""Unlinking: what the links of a project know of people who are erased.

A device that is one erased customer's for ever goes with him: its key becomes a blank. Of a device
that others are on, too, only what was said of the erased one goes, and that not before the rows
that are his by it are gone: until then they must be known as his. Both follow from the ordinals
that the manifest names, so that files of links may know more than they should until the next purge
writes them anew. REQUIRES: the writer's lock, but for :func:`rewritten`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from zuji.engine.index.identity import gather_bytes
from zuji.engine.index.link_files import read_links, write_links
from zuji.engine.index.links import place_of, split
from zuji.engine.storage import names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from zuji.engine.index.erased import Erased, Ordinals
    from zuji.engine.index.link_store import LinkStore
    from zuji.engine.index.links import Links
    from zuji.engine.types import I64


def places_in(ordinals: Ordinals) -> I64:
    """Users as numbers."""
    found = [place_of(shard, 0) | mine.astype(np.int64) for shard, mine in ordinals.items()]
    return np.concatenate([np.empty(0, np.int64), *found])


def belongings(links: Links, places: I64) -> tuple[list[bytes], int]:
    """Keys of the devices that are for ever one of some customers', and how many devices they are
    on that are others', too. O(linked devices).
    """
    wanted = set(places.tolist())
    one, whole, shared = _of(links, places, wanted)
    return [links.key(at) for at in (*one.tolist(), *whole)], shared


def _of(links: Links, places: I64, wanted: set[int]) -> tuple[I64, list[int], int]:
    found = [some[np.isin(links.owned.owners(some), places)] for some in links.everyone()]
    one = np.concatenate([np.empty(0, np.int64), *found])
    several = [at for at, facts in links.facts.items() if wanted & facts.pairs.keys()]
    whole = [at for at in several if links.owners_of(at).only in wanted]
    return one, whole, len(several) - len(whole)


def forget(links: Links, ordinals: Ordinals) -> None:
    """Forgets devices that are erased people's for ever. ``ordinals``: these people's. REQUIRES:
    the id index knows their ids still; if not, nothing is linked under their places.
    """
    if not ordinals:
        return
    places = np.sort(places_in(ordinals))
    if len(links):
        one, whole, _ = _of(links, places, set(places.tolist()))
        links.forget(np.concatenate([one, np.array(whole, np.int64)]))
        links.estrange(places)  # others are on them, too
        links.number += 1
        links.resets += 1
    for shard, mine in ordinals.items():
        gone = BitMap(mine)
        links.linked[shard] -= gone
        links.called[shard] -= gone
        links.touched[shard].forget(mine)


def part(links: Links, ordinals: Ordinals) -> None:
    """Forgets what was said of erased people and devices that others are on. REQUIRES: no row is
    theirs by it any more.
    """
    gone = set(places_in(ordinals).tolist())
    for at, facts in list(links.facts.items()):
        if not gone & (facts.pairs.keys() | facts.before.keys()):
            continue
        for place in gone:
            facts.pairs.pop(place, None)
        links._other_owners(at)
        for place in gone:
            facts.before.pop(place, None)
        for place in facts.pairs:  # rows that stand with others may be somebody else's now
            shard, ordinal = split(place)
            facts.before[place] = links.number
            links.touched[shard].add(links.number, np.array([ordinal], np.uint32))
        links.resets += 1


def loaded(links: Links, erased: Erased) -> None:
    """After links were loaded from files that may know people who are erased."""
    nobody, hidden = erased.nobody(), erased.hidden()
    forget(links, nobody)
    gone = {
        shard: np.setdiff1d(mine, hidden.get(shard, mine[:0])) for shard, mine in nobody.items()
    }
    if nobody:
        part(links, gone)


def unsay(store: LinkStore, ids: Collection[str]) -> bool:
    """Takes what was said by hand of some ids out of the log. Whether there was anything."""
    gone = {
        entry["n"]
        for entry in store.log
        if entry.get("user_id") in ids or entry.get("device_id") in ids
    }
    store.log[:] = [entry for entry in store.log if entry["n"] not in gone]
    store.unsaid |= gone  # until no file has them
    return bool(gone)


def rewritten(
    store: LinkStore, ordinals: Ordinals, new_name: Callable[[], str]
) -> tuple[dict[str, Any] | None, list[str]]:
    """Writes the files anew that know of erased people; what the manifest shall say, for
    :meth:`LinkStore.saved`, and the files that it names no more. O(devices in files).
    """
    gone = set(places_in(ordinals).tolist())
    places = np.array(sorted(gone), np.int64)
    held, dropped = [], []
    number = store.links.number + 1
    for name, size in store._names:
        read = read_links(store._files, names.path(store._root, name))
        keep = np.flatnonzero(~np.isin(read.owner, places))
        facts = [left for entry in read.facts if (left := _left(entry, gone, number)) is not None]
        said_ = [entry for entry in read.said if entry["n"] not in store.unsaid]
        if (len(keep), facts, said_) == (len(read.owner), read.facts, read.said):
            held.append((name, size))
            continue
        dropped.append(name)
        if len(keep) or facts or said_:
            data, offsets = gather_bytes(read.data, read.offsets, keep)
            columns = {k: getattr(read, k)[keep] for k in ("owner", "first", "number")}
            fresh = new_name()
            path = names.path(store._root, fresh)
            content = replace(read, data=data, offsets=offsets, facts=facts, said=said_, **columns)
            held.append((fresh, write_links(store._files, path, content)))
    state = said(store, held)
    if state is not None:
        state |= {"number": number, "unsaid": []}
    return state, dropped


def said(store: LinkStore, held: list[tuple[str, int]] | None = None) -> dict[str, Any] | None:
    """What the manifest is to say of links as they are stored, with the log as it is now. ``held``:
    the files, when they are others.
    """
    files = store._names if held is None else held
    if not (files or store.log or store._stored):
        return None
    now = {k: v for k, v in store.state().items() if k in ("log", "unsaid")}
    return {**store._stored, **now, "files": [list(one) for one in files]}


def _left(entry: Mapping[str, Any], gone: set[int], number: int) -> dict[str, Any] | None:
    """Facts of a device without erased people; None: they were all. Those that change have the
    ``number`` of this change: rows may be others' now.
    """
    pairs = [pair for pair in entry["pairs"] if pair[0] not in gone]
    if len(pairs) == len(entry["pairs"]):
        return dict(entry)
    before = {place: n for place, n in entry["before"] if place not in gone}
    before |= {pair[0]: number for pair in pairs}
    changed = {"pairs": pairs, "before": [list(one) for one in before.items()], "number": number}
    return {**entry, **changed} if pairs else None
