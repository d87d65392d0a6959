"""What the synthetic data looks like: one frozen record that the generator, the queries and the
report share.

The shape is an app of one bank: 40 event names with Zipf shares (rank 5 is ≈ 5 %, ranks 3–8 lie
between 3 and 8 %), 8 properties on every event, one active user per 100 rows with Zipf activity,
30 days inside one calendar month of the project's zone. ``os`` and ``city`` belong to the user,
``app_version`` to the user with one upgrade in the month; ``page`` is one of five that the event
occurs on; ``amount`` is a price point times 1–3 pieces; the rest is drawn per event.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

DAY_MS = 86_400_000
EVENTS = 40
CHANNELS = ("app", "mini", "web", "counter")
SYSTEMS = ("Android", "iOS", "HarmonyOS")
CITIES = 300
VERSIONS = 20
PAGES = 200
PRODUCTS = 1_000
PROPERTIES = (
    "channel",
    "os",
    "city",
    "app_version",
    "page",
    "product_id",
    "duration_ms",
    "amount",
)

# Relative load of the 24 local hours: quiet nights, a peak at noon and one in the evening.
HOUR_LOAD = (2, 1, 1, 1, 1, 2, 4, 7, 10, 11, 11, 12, 13, 11, 10, 10, 10, 11, 12, 14, 14, 12, 8, 4)


def event_name(rank: int) -> str:
    """Name of the event with popularity ``rank`` (1-based)."""
    return f"event_{rank:02d}"


@dataclass(frozen=True, slots=True)
class Shape:
    """Size, seed and calendar of one data set. Equal shapes give byte-identical rows."""

    rows: int
    seed: int = 20261001
    tz: str = "Asia/Shanghai"
    first_day: str = "2026-10-01"
    days: int = 30
    rows_per_user: int = 100

    @property
    def users(self) -> int:
        """Number of active users."""
        return max(10, self.rows // self.rows_per_user)

    @property
    def start_ms(self) -> int:
        """First instant, UTC milliseconds."""
        local = datetime.fromisoformat(self.first_day).replace(tzinfo=ZoneInfo(self.tz))
        return int(local.timestamp() * 1000)

    @property
    def last_day(self) -> str:
        """Last local day, inclusive, as the queries name it."""
        year, month, day = self.first_day.split("-")
        return f"{year}-{month}-{int(day) + self.days - 1:02d}"
