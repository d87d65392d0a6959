"""Whose rows of bulk loads are, against brute force: loaded, compacted, opened anew."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import zuji
from tests.oracle.identity import SHARED, OracleIdentity
from zuji.engine.export import read_events

if TYPE_CHECKING:
    from pathlib import Path

START = 1_760_000_000_000
PHONES = ("p1", "p2", "p3")


def _row(rng: random.Random) -> dict[str, Any]:
    user = rng.choice([None, None, "ann", "bob", "cy"])
    return {
        "event": rng.choice(["view", "view", "view", "pay", "$UnbindID"]),
        "time": START + rng.randrange(20) * 1000,
        "user": user,
        "device": rng.choice(PHONES if user is None else (*PHONES, None)),
        "$identity_mobile": rng.choice([None, "138"]),
    }


def _say(identity: OracleIdentity, row: dict[str, Any]) -> None:
    others = [row["device"]] if row["device"] else []
    if row["$identity_mobile"] and row["user"]:
        others.append(f"$identity_mobile+{row['$identity_mobile']}")
    for other in others:
        if row["event"] == "$UnbindID":
            identity.apart(other, row["user"], row["time"])
        elif row["user"]:
            identity.together(other, row["user"], row["time"])


def _stored(engine: zuji.Engine) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for table in read_events(engine):
        for row in table.select(("event", "time", "user_id", "device_id")).to_pylist():
            ms = round(row["time"].timestamp() * 1000)
            found[row["event"], ms, row["user_id"], row["device_id"]] += 1
    return found


@pytest.mark.parametrize("seed", range(40))
def test_loaded_rows_belong_to_whom_the_rules_say(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    identity = OracleIdentity(rng.choice(SHARED))
    engine = zuji.open(tmp_path, tz="UTC")
    engine.identity.set_shared_device(identity.shared)
    rows = []
    types = {"time": pa.timestamp("ms", "UTC")}
    for _ in range(rng.choice([1, 3, 6])):
        part = [_row(rng) for _ in range(rng.choice([1, 5, 20]))]
        table = pa.table(
            {n: pa.array([r[n] for r in part], types.get(n, pa.string())) for n in part[0]}
        )
        mapping = {"event": "event", "time": "time", "user": "user", "device": "device"}
        engine.append_table(table, mapping)
        for row in part:
            _say(identity, row)
        rows += part
    wanted: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        kind, name = identity.owner(row["user"], row["device"], row["time"])
        wanted[row["event"], row["time"], name if kind == "user" else None, row["device"]] += 1
    assert _stored(engine) == wanted
    engine.compact()
    assert _stored(engine) == wanted
    engine.close()
    with zuji.open(tmp_path) as again:
        assert _stored(again) == wanted
