"""Trends from the day index against the same trends from rows: a filter that all rows pass forces
rows. Several segments and a memtable a shard, two months, profile records.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

import zuji
from zuji.engine.query.analyses import event_index
from zuji.engine.storage import segment_writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TZ = "Asia/Shanghai"
START = datetime(2026, 9, 10, tzinfo=ZoneInfo(TZ))
EVERY_ROW = {"p": "event.$name", "op": "is_set"}


def events(seed: int, n: int, days: int) -> Iterator[dict[str, Any]]:
    r = random.Random(seed)
    for i in range(n):
        user = f"u{min(int(r.paretovariate(0.8)), 400)}"
        at = START + timedelta(seconds=r.randrange(days * 86_400))
        event = {"event": r.choice("aaabc"), "user_id": user, "time": int(at.timestamp() * 1000)}
        if i % 10 == 0:
            event |= {"event": "$profile_set", "properties": {"level": r.choice(["x", "y"])}}
            event["user_id"] = f"u{r.randrange(2000)}"  # many of them do nothing else
        yield event


@pytest.fixture(scope="module", params=["one segment", "several", "few users among many"])
def project(request: Any, tmp_path_factory: Any) -> Iterator[zuji.Engine]:
    patch = pytest.MonkeyPatch()
    patch.setattr(segment_writer, "INDEX_ROWS", 20)
    if request.param == "few users among many":
        patch.setattr(event_index, "_fits_bits", lambda *_: False)
    path: Path = tmp_path_factory.mktemp("project")
    config = zuji.Config(background=False, compact_after=100)
    now = int((START + timedelta(days=60)).timestamp() * 1000)
    with zuji.open(path, tz=TZ, config=config, clock=lambda: now) as engine:
        for seed, days in enumerate((40, 25, 9)):
            engine.append(events(seed, 1200, days))
            engine.flush()
        if request.param == "one segment":
            engine.compact()
        else:
            engine.append(events(9, 300, 40))  # stays in the memtable
        yield engine
    patch.undo()


def ask(engine: zuji.Engine, grain: str, span: tuple[str, str], series: Any, **more: Any) -> Any:
    time = {"from": span[0], "to": span[1], "tz": TZ, "grain": grain}
    return engine.query(
        {"v": 1, "model": "event", "time": time, "body": {"series": series}, **more}
    )


@pytest.mark.parametrize("grain", ["day", "week", "month", "all"])
@pytest.mark.parametrize(
    "span",
    [("2026-09-01", "2026-10-31"), ("2026-09-14", "2026-09-29"), ("2026-10-02", "2026-10-02")],
)
@pytest.mark.parametrize("audience", [None, {"user": {"p": "user.level", "op": "eq", "v": "x"}}])
def test_the_index_counts_what_rows_count(
    project: zuji.Engine, grain: str, span: tuple[str, str], audience: Any
) -> None:
    series = [
        {"e": e, "measure": measure, "cumulative": cumulative}
        for e in ("a", "*", ["b", "c"], "never")
        for measure in ("count", "users", "per_user")
        for cumulative in (False, True)
        if not (cumulative and (measure == "per_user" or grain == "all"))
        if audience is None or measure == "users"
    ]
    for n, one in enumerate(series):
        one["as"] = f"S{n}"
    more = {} if audience is None else {"audience": audience}
    index = ask(project, grain, span, series, **more)
    rows = ask(project, grain, span, series, where=EVERY_ROW, **more)
    assert index.meta["index"]
    assert not rows.meta["index"]
    assert index.rows == rows.rows
    assert index.totals == rows.totals


def test_records_of_profiles_are_nobodys_activity(project: zuji.Engine) -> None:
    one = ask(project, "all", ("2026-09-01", "2026-10-31"), [{"e": "*", "measure": "users"}])
    assert 0 < one.rows[0][-1] <= 400
    assert one.meta["index"]
