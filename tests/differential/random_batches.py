"""Batches from a seed: mostly good events, every kind of fault now and then.

Hypothesis finds odd corners of small inputs; this gives volume with the proportions of real data:
repeated shapes, repeated ids, optional properties, a fault in about one event of four.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from tests.differential.wire import Ext, Pairs, Text

if TYPE_CHECKING:
    from random import Random

NAMES = ["city", "os", "amount", "页面", "$lib", "vip", "tags", "since", "n", "product_id"]


def good_value(rng: Random) -> Any:
    return rng.choice(
        [
            lambda: rng.choice(["app", "web", "小程序", "", "Ж" * 5]),
            lambda: f"p{rng.randrange(50)}",
            lambda: rng.randrange(-(2**63), 2**63) >> rng.randrange(64),
            lambda: rng.choice([0.0, -0.0, 1.5, 1e300, 5e-324, rng.random()]),
            lambda: rng.random() < 0.5,
            lambda: [rng.choice(["a", "b", "中文", ""]) for _ in range(rng.randrange(5))],
            lambda: Ext(-1, struct.pack(">I", rng.randrange(2**32))),
            lambda: Ext(-1, struct.pack(">Q", rng.randrange(10**9) << 34 | rng.randrange(2**34))),
            lambda: Ext(
                -1, struct.pack(">Iq", rng.randrange(10**9), rng.randrange(-(10**10), 10**11))
            ),
            lambda: None,
        ]
    )()


def bad_value(rng: Random) -> Any:
    return rng.choice(
        [
            {},
            {"x": 1},
            [1],
            [None],
            ["a", ["b"]],
            ["a"] * 6,
            ["x" * 41],
            [Text(b"\xff")],
            b"bytes",
            Text(b"ok\xed\xa0\x80"),
            "x" * 41,
            float("nan"),
            float("inf"),
            -float("inf"),
            2**63,
            2**64 - 1,
            Ext(-1, b"12345"),
            Ext(3, b"1234"),
            Ext(-1, struct.pack(">Iq", 0, 2**62)),
            Ext(-1, struct.pack(">Iq", 10**9, 5)),
            Ext(-1, struct.pack(">Q", 2**64 - 1)),
            [[[["deep"]]]],
            {"a": {"b": {"c": 1}}},
        ]
    )


def properties(rng: Random) -> dict[str, Any]:
    names = (
        NAMES[: rng.randrange(1, 7)] if rng.random() < 0.6 else rng.sample(NAMES, rng.randrange(7))
    )
    return {name: good_value(rng) for name in names}


LATER_PROFILES = ("profile_set_once", "profile_increment", "profile_append", "profile_delete")


def profile_properties(rng: Random, type_: str) -> Any:
    """What a record of one of LATER_PROFILES takes."""
    if type_ == "profile_delete":
        return rng.choice([None, {}])
    if type_ == "profile_set_once":
        return properties(rng)
    made = {
        "profile_increment": lambda: rng.choice([1, -(2**40), 2.5, 0.0]),
        "profile_append": lambda: rng.choice(["p", "中" * 3, [], ["p", "q"], ["x" * 20]]),
    }[type_]
    return {name: made() for name in rng.sample(NAMES, rng.randrange(4))}


def good_event(rng: Random) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event": rng.choice(["view", "pay", "开户", "a b"]),
        "time": rng.choice(
            [
                1_790_000_000_000 + rng.randrange(10**9),
                float(rng.randrange(10**12)) + 0.75,
                -1.5,
                "2026-10-01T13:00:05.250+08:00",
                "1999-12-31 23:59:60z",
                "2024-02-29t00:00:00.123456789-11:30",
                Ext(-1, struct.pack(">I", rng.randrange(2**32))),
            ]
        ),
    }
    kind = rng.randrange(10)
    if kind == 0:
        event = {"type": "profile_set", "time": event["time"]}
    elif kind == 1:
        event = {"type": "profile_unset", "time": event["time"]}
    elif kind == 2:
        event["type"] = rng.choice(["track", None])
    elif kind == 3:
        event = {"type": rng.choice(LATER_PROFILES), "time": event["time"]}
    if rng.random() < 0.1:
        event["time_free"] = rng.choice([True, False, None])
    event["user_id"] = rng.choice(
        ["u1", "u2", "客户", 7, -(2**63), 2**64 - 1][: 6 if rng.random() < 0.3 else 2]
    )
    if rng.random() < 0.3:
        event["device_id"] = f"d{rng.randrange(9)}"
        if rng.random() < 0.5:
            event["user_id"] = rng.choice([None, ""])
    if rng.random() < 0.5:
        event["insert_id"] = f"{rng.getrandbits(32):08x}"
    if kind == 1:
        event["properties"] = {name: rng.choice([None, True]) for name in rng.sample(NAMES, 3)}
    elif kind == 3:
        event["properties"] = profile_properties(rng, event["type"])
    elif rng.random() < 0.9:
        event["properties"] = properties(rng)
    if rng.random() < 0.3:
        order = list(event)
        rng.shuffle(order)
        event = {key: event[key] for key in order}
    return event


def bad_event(rng: Random) -> Any:
    event = good_event(rng)
    field = rng.choice(
        ["type", "event", "time", "user_id", "device_id", "insert_id", "properties", "time_free"]
    )
    fault = rng.randrange(12)
    if fault == 0:
        return rng.choice([None, 5, "x", [], [[]], bad_value(rng)])
    if fault == 1:
        event.pop(field, None)
    elif fault == 2:
        event[field] = bad_value(rng)
    elif fault == 3:
        event[rng.choice(["lib", "Time", "", "event_", "用户"])] = 1
    elif fault == 4:
        return Pairs(
            [*event.items(), (rng.choice([*event, 5, None, Text(b"\xff")]), good_value(rng))]
        )
    elif fault == 5:
        event["user_id"] = event["device_id"] = rng.choice([None, "", "x" * 11, 1.5, True])
    elif fault == 6:
        event["time"] = rng.choice(
            ["2026-10-01", "2026-02-29T00:00:00Z", "0000-01-01T00:00:00Z", 8 * 10**12, 2**63, True,
             None, 1e300, -3e12, "2199-12-31T23:59:59-08:00", "2026-10-01T13:00:05.Z",
             "9999-12-31T00:00:00Z"]
        )  # fmt: skip
    elif fault == 7:
        event["event"] = rng.choice(["", "x" * 13, "a\nb", 5, Text(b"\xe4\xb8"), "$time"])
    elif fault == 8:
        event["type"] = rng.choice(
            ["Track", 5, "profile", "profile_set", "profile_unset", *LATER_PROFILES]
        )
    else:
        props = list(properties(rng).items())
        at = rng.randrange(len(props) + 1)
        props[at:at] = [
            rng.choice(
                [
                    (rng.choice(NAMES), bad_value(rng)),
                    (
                        rng.choice(
                            ["", "x" * 13, "$time", "a\x00", 5, None, Text(b"\xff"), "$name"]
                        ),
                        1,
                    ),
                    (rng.choice(NAMES), good_value(rng)),
                    (rng.choice(NAMES), False),
                ]
            )
        ]
        if rng.random() < 0.1:
            props += [(f"k{i}", i) for i in range(6)]
        event["properties"] = Pairs(props)
    return event


def random_batch(rng: Random) -> Any:
    """A batch as a value for `wire.write`."""
    faults = rng.choice([0.0, 0.1, 0.5])
    events = [
        bad_event(rng) if rng.random() < faults else good_event(rng)
        for _ in range(rng.randrange(28))
    ]
    if rng.random() < 0.7:
        return events
    batch: dict[str, Any] = {"events": events}
    if rng.random() < 0.7:
        batch["batch_id"] = rng.choice(["b-1", None, "批"])
    if rng.random() < 0.7:
        batch["sent_at"] = rng.choice([None, 1_790_000_000_000, "2026-10-01T13:00:05Z"])
    order = list(batch)
    rng.shuffle(order)
    return {key: batch[key] for key in order}
