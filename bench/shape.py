"""What the synthetic data looks like: one frozen record that the generator, the questions and the
report share.

The shape is an app of one bank: 40 event names with Zipf shares (rank 5 is ≈ 5 %, ranks 3–8 lie
between 3 and 8 %), one user per 100 rows with Zipf activity. Users come in sessions of some eight
events, seconds to minutes apart. ``os`` and ``city`` belong to the user, ``app_version`` to the
user with one upgrade in the range; ``page`` is one of five that the event occurs on; ``url`` has
many values, ``coupon`` few rows, ``tags`` is a list; the rest is drawn per event. 5 % of the rows
arrive late and 1 % are sent twice; the order of the rows is that of their arrival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

DAY_MS = 86_400_000
EVENTS = 40
CHANNELS = ("app", "mini", "web", "counter")
SYSTEMS = ("Android", "iOS", "HarmonyOS")
LEVELS = ("basic", "silver", "gold", "platinum", "private")
CITIES = 300
VERSIONS = 20
PAGES = 200
PRODUCTS = 1_000
COUPONS = 50
TAGS = 30
LATE_SHARE = 0.05
COUPON_SHARE = 0.03
# A repeat follows its first copy within about this many rows.
REPEAT_WITHIN_ROWS = 1_000_000
REPEAT_EVERY_ROWS = 100
WIRE_PROPERTIES = (
    "channel",
    "os",
    "city",
    "app_version",
    "page",
    "product_id",
    "duration_ms",
    "amount",
)
"""What an event on the wire carries."""
PROPERTIES = (*WIRE_PROPERTIES, "url", "coupon", "tags")
PROFILE = ("city", "level", "birth_year")
# The questions ask for at most so many days, the last ones of the data.
ASKED_DAYS = 30

# Relative load of the 24 local hours: quiet nights, a peak at noon and one in the evening.
HOUR_LOAD = (2, 1, 1, 1, 1, 2, 4, 7, 10, 11, 11, 12, 13, 11, 10, 10, 10, 11, 12, 14, 14, 12, 8, 4)


def event_name(rank: int) -> str:
    """Name of the event with popularity ``rank`` (1-based)."""
    return f"event_{rank:02d}"


def city_name(rank: int) -> str:
    """Name of the city with popularity ``rank`` (0-based)."""
    return f"城市{rank:03d}"


@dataclass(frozen=True, slots=True)
class Shape:
    """Size, seed and calendar of one data set. Equal shapes give byte-identical rows."""

    rows: int
    """Rows as sent, repeats included."""
    seed: int = 20261001
    tz: str = "Asia/Shanghai"
    first_day: str = "2026-10-01"
    days: int = 30
    rows_per_user: int = 100

    @property
    def users(self) -> int:
        """Number of users, each with a profile; the least active may have no event."""
        return max(10, self.rows // self.rows_per_user)

    @property
    def urls(self) -> int:
        """Number of distinct URLs: 100 k in 20 M rows, 200 k in 100 M."""
        return max(50, round(100_000.0 * math.pow(self.rows / 20e6, 0.43)))

    @property
    def start_ms(self) -> int:
        """First instant, UTC milliseconds."""
        return self._local_ms(date.fromisoformat(self.first_day))

    @property
    def end_ms(self) -> int:
        """First instant after the last day, UTC milliseconds."""
        return self.start_ms + self.days * DAY_MS

    @property
    def asked_days(self) -> int:
        """Days that the questions ask for."""
        return min(self.days, ASKED_DAYS)

    @property
    def asked_first_day(self) -> str:
        """First local day of the questions."""
        return self.day(self.days - self.asked_days)

    @property
    def asked_ms(self) -> int:
        """First instant of the questions, UTC milliseconds."""
        return self._local_ms(date.fromisoformat(self.asked_first_day))

    @property
    def last_day(self) -> str:
        """Last local day, inclusive, as the queries name it."""
        return self.day(self.days - 1)

    def day(self, number: int) -> str:
        """Local date of day ``number`` of the data (0-based)."""
        return str(date.fromisoformat(self.first_day) + timedelta(days=number))

    def _local_ms(self, day: date) -> int:
        local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.tz))
        return int(local.timestamp() * 1000)


def year_of(rows: int, seed: int = Shape(1).seed) -> Shape:
    """365 days that end where the month's data ends."""
    return Shape(rows, seed=seed, first_day="2025-10-31", days=365)
