"""What becomes of a request of others' SDKs, from the body to the answer, without a socket; and
values that do not belong where they are put.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack
from hypothesis import strategies as st

from zuji.engine.errors import ZujiError
from zuji.server.collector.message import Answer, Request
from zuji.server.settings import Settings

if TYPE_CHECKING:
    from zuji.engine.engine import Engine
    from zuji.server.collector.message import Taken
    from zuji.server.protocols import Protocol

SETTINGS = Settings(data="unused")
NOW = 1_790_827_200_000  # 2026-10-01 12:00 in Shanghai
KINDS: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1 << 62,
    1 << 70,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "text",
    "\x00",
    "\ud800",
    "😀" * 300,
    "x" * 9000,
    "2026-10-01T04:00:00Z",
    "9999-99-99",
    [],
    [None],
    ["a", ""],
    ["a", 1],
    [1, 2.5],
    [[[[]]]],
    ["x"] * 600,
    ["x"] * 70_000,
    {},
    {"a": 1},
    {"": None},
    {"a": {"b": {"c": [1]}}},
    {"x" * 200: 1},
    {"$name": 1, "$time": 2},
    {f"p{n}": n for n in range(300)},
    {f"p{n}": 1 for n in range(35_000)},
]


@dataclass(frozen=True)
class Outcome:
    """``accepted``: events stored; ``reasons``: of what went to the quarantine."""

    answer: Answer
    taken: Taken | None = None
    accepted: int = 0
    reasons: tuple[str, ...] = ()


def request(path, body=b"", headers=None, query=b"", method="POST"):
    found = {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
    return Request(method, path, query, found, body, "192.0.2.1", NOW)


def outcome(
    protocol: Protocol, asked: Request, engine: Engine | None, settings: Settings = SETTINGS
) -> Outcome:
    """What the collector does with a request; nothing but a ZujiError may be raised. Without an
    engine nothing is stored.
    """
    try:
        protocol.key(asked)
        taken = protocol.convert(asked, asked.body, settings)
    except ZujiError as error:
        return Outcome(protocol.failed(asked, error))
    if engine is None:
        return Outcome(Answer(), taken)
    batches = [b"\xdd" + part.count.to_bytes(4, "big") + part.data for part in taken.events]
    results = engine.append_many(batches, list(taken.refused))
    assert not [one for one in results if isinstance(one, ZujiError)], results
    rejected = [r for one in results for r in one.rejected]
    reasons = [one.reason for one in (*taken.refused, *rejected)]
    accepted = sum(one.accepted for one in results)
    answer = protocol.stored(asked, taken, results)
    return Outcome(answer, taken, accepted, tuple(sorted(reasons)))


def natives(taken):
    """Native events that were taken, as mappings."""
    found = []
    for part in taken.events:
        unpacker = msgpack.Unpacker(unicode_errors="surrogatepass")
        unpacker.feed(part.data)
        found += list(unpacker)
    return found


def bodies(value):
    """JSON as SDKs write it, with NaN and lone surrogates where the value has them."""
    return json.dumps(value).encode()


def places(value, path=()):
    """Paths of everything in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        here = (*path, key)
        yield here
        if isinstance(one, dict | list):
            yield from places(one, here)


def put(value, path, other):
    """A copy of the value with ``other`` at ``path``."""
    made = copy.deepcopy(value)
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = other
    return made


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["$set", "2026-10-01T04:00:00Z", "u1", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def objects_with(names):
    """Objects that have some of these names, with any values."""
    return st.dictionaries(st.sampled_from(sorted(names)) | st.text(max_size=8), json_values)
