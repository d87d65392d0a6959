"""Members of one version of a cohort: a Roaring bitmap of ordinals a shard, in one blob file.

Section *s* is shard *s* in the portable Roaring form (github.com/RoaringBitmap/RoaringFormatSpec);
docs/format/cohorts.md. Reading one shard reads its section. Bytes of 0 and 1, which is what queries
work with, are made from the form and back without looking at single users. Functions only.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyroaring import BitMap

from zuji.engine.errors import Corruption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.people.blob import Blob
    from zuji.engine.types import U8, U32

FORM: Final = "members-1"
_NO_RUNS: Final = 12_346
"""Cookie of the form without run containers: keys and sizes, offsets, containers."""
_CONTAINER: Final = 1 << 16
_MOST_LISTED: Final = 4_096
"""Members of a container that are listed as uint16; more are 65,536 bits."""


def sections_of(shards: Sequence[BitMap]) -> tuple[list[bytes], dict[str, Any]]:
    """Sections and meta of a blob."""
    meta = {"form": FORM, "users": [len(one) for one in shards]}
    return [one.serialize() for one in shards], meta


def check_members(blob: Blob) -> list[int]:
    """Number of members of each shard.

    Raises:
        Corruption: the file holds something else.
    """
    users = blob.meta.get("users")
    if blob.meta.get("form") != FORM or not isinstance(users, list) or blob.sections != len(users):
        raise Corruption("the file does not hold members of a cohort", blob.path)
    return users


def members_of(blob: Blob, shard: int) -> BitMap:
    """Ordinals of a shard, as they were when the file was written. O(bytes of the section).

    Raises:
        Corruption: it fails its checksum, or does not hold what the file says.
    """
    users = check_members(blob)
    data = blob.section(shard)
    try:
        found = BitMap.deserialize(bytes(data))
    except (ValueError, IndexError) as error:
        raise Corruption(f"members do not unpack: {error}", blob.path) from error
    if len(found) != users[shard]:
        raise Corruption("the number of members is not what the file says", blob.path)
    return found


def bitmap_of(mask: U8) -> BitMap:
    """The ordinals of a mask uint8[users] of 0 and 1. O(users / 8) after one pass."""
    padded = -(-len(mask) // _CONTAINER) * _CONTAINER
    packed = np.zeros(padded // 8, dtype=np.uint8)
    bits = np.packbits(mask, bitorder="little")
    packed[: len(bits)] = bits
    containers = packed.reshape(-1, _CONTAINER // 8)
    starts = np.arange(0, len(mask), _CONTAINER)
    sizes = np.add.reduceat(mask, starts, dtype=np.int64) if len(mask) else np.zeros(0, np.int64)
    parts: list[bytes] = []
    heads: list[tuple[int, int]] = []
    for key in np.flatnonzero(sizes).tolist():
        size = int(sizes[key])
        heads.append((key, size - 1))
        if size > _MOST_LISTED:
            parts.append(containers[key].tobytes())
        else:
            own = mask[key * _CONTAINER : (key + 1) * _CONTAINER]
            parts.append(np.flatnonzero(own).astype("<u2").tobytes())
    place = 8 + 8 * len(heads)
    offsets = place + np.cumsum([0, *map(len, parts)])[:-1]
    raw = b"".join(
        [
            struct.pack("<II", _NO_RUNS, len(heads)),
            np.array(heads, dtype="<u2").tobytes(),
            offsets.astype("<u4").tobytes(),
            *parts,
        ]
    )
    return BitMap.deserialize(raw)


def mask_of(members: BitMap, users: int) -> U8:
    """uint8[users]: 1 = a member; those beyond are left out. O(users)."""
    raw = members.serialize()
    cookie, count = struct.unpack_from("<II", raw) if len(raw) >= 8 else (0, 0)
    if cookie != _NO_RUNS:
        return _mask_of_listed(members, users)
    mask = np.zeros(-(-users // _CONTAINER) * _CONTAINER, dtype=np.uint8)
    heads = np.frombuffer(raw, "<u2", 2 * count, 8).reshape(-1, 2).astype(np.int64)
    places = np.frombuffer(raw, "<u4", count, 8 + 4 * count)
    for (key, least), at in zip(heads.tolist(), places.tolist(), strict=True):
        own = mask[key * _CONTAINER : (key + 1) * _CONTAINER]
        if not len(own):
            break
        if least + 1 > _MOST_LISTED:
            bits = np.frombuffer(raw, np.uint8, _CONTAINER // 8, at)
            own[:] = np.unpackbits(bits, bitorder="little")
        else:
            own[np.frombuffer(raw, "<u2", least + 1, at)] = 1
    return mask[:users]


def _mask_of_listed(members: BitMap, users: int) -> U8:
    mask = np.zeros(users, dtype=np.uint8)
    found = ordinals_of(members)
    mask[found[: np.searchsorted(found, users)]] = 1
    return mask


def ordinals_of(members: BitMap) -> U32:
    """The ordinals, ascending."""
    if not members:
        return np.zeros(0, dtype=np.uint32)
    return np.frombuffer(members.to_array(), dtype=np.uint32)
