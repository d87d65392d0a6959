"""Events of the first and the last instant that ingest accepts, in zones on both sides of UTC: each
must reach a segment, since one that cannot would stop every flush after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import zuji
from zuji.engine.calendars import MAX_MS, MIN_MS

if TYPE_CHECKING:
    from pathlib import Path

ZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago")


@pytest.mark.parametrize("tz", ZONES)
def test_the_first_and_the_last_instant_are_stored_and_found(tmp_path: Path, tz: str) -> None:
    events = [
        {"event": "a", "user_id": f"u{i}", "time": at}
        for i, at in enumerate((MIN_MS, MIN_MS + 1, 0, MAX_MS - 1))
    ]
    query = {
        "v": 1,
        "model": "event",
        "time": {"from": "1900-01-01T00:00:00Z", "to": "2199-12-31T23:59:59.999Z", "grain": "all"},
        "body": {"series": [{"e": "a", "measure": "users"}]},
    }
    with zuji.open(tmp_path, tz=tz) as engine:
        assert engine.append(events).accepted == 4
        engine.flush()
        assert engine.query(query).rows[0][-1] == 3  # the range is half-open
        engine.compact()
        assert engine.query(query).rows[0][-1] == 3
