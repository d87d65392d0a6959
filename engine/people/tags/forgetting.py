"""Erasure: files of tags written anew without some users, so that no byte of their values is left.

A dictionary holds used texts only, so a text that nobody else has goes with its user. What is
written anew keeps its day and the time it was made. One change of the catalogue puts all new files
in force; the old ones are removed by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.people.tags.format import column_of, sections_of
from zuji.engine.people.tags.given import edits_of, sections_of_edits
from zuji.engine.types import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.people.store import Store
    from zuji.engine.people.tags.kept import KeptTag, KeptTags


def forgotten(store: Store, kept: KeptTags, ordinals: Mapping[int, Any]) -> int:
    """Number of files written anew. ``ordinals``: of each shard those who go."""
    places = {(shard, int(one)) for shard, own in ordinals.items() for one in own}
    days: dict[tuple[str, str], int] = {}
    edits: dict[str, tuple[list[Any], list[int]]] = {}
    written = 0
    for name, tag in kept.tags.items():
        for day, number in zip(tag.days, tag.files, strict=True):
            new = _without(store, kept, tag, number, ordinals)
            if new is not None:
                days[name, day.isoformat()] = new
                written += 1
        hit = [one for one in tag.edits if (one.shard, one.ordinal) in places]
        files = []
        for number in tag.edit_files:
            own = edits_of(kept.state.blob(number))
            left = [one for one in own if (one.shard, one.ordinal) not in places]
            if len(left) == len(own):
                files.append(number)
            elif left:
                sections, meta = sections_of_edits(left)
                files.append(store.put(sections, {"tag": name, **meta}))
            written += len(left) < len(own)
        if hit or files != tag.edit_files:
            rest = [o.dump() for o in tag.edits if (o.shard, o.ordinal) not in places]
            edits[name] = rest, files

    def edit(whole: dict[str, Any]) -> dict[str, Any]:
        for (name, day), number in days.items():
            whole["tags"][name]["days"][day] |= {"file": number}
        for name, (rest, files) in edits.items():
            whole["tags"][name] |= {"edits": rest, "edit_files": files}
        return whole

    if days or edits:
        store.change(edit)
    return written


def _without(
    store: Store, kept: KeptTags, tag: KeptTag, number: int, ordinals: Mapping[int, Any]
) -> int | None:
    """A new file without the users; None when none of them has a value in the old one."""
    blob = kept.state.blob(number)
    users = [int(n) for n in blob.meta["users"]]
    columns = [column_of(blob, tag.kind, shard) for shard in range(len(users))]
    hit = False
    for shard, own in ordinals.items():
        column = columns[shard] if shard < len(columns) else None
        if column is None:
            continue
        gone = np.asarray(own, np.int64)
        gone = gone[gone < column.rows]
        has = np.ones(column.rows, np.uint8) if column.present is None else column.present.copy()
        if not has[gone].any():
            continue
        hit = True
        has[gone] = 0
        old: Any = column.values
        values = old * has
        columns[shard] = Column(column.kind, values, has, column.dictionary) if has.any() else None
    if not hit:
        return None
    sections, meta = sections_of(tag.kind, columns, users)
    named = {key: blob.meta[key] for key in ("tag", "day")}
    return store.put(sections, {**named, **meta})
