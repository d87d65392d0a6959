"""What is drawn once for a data set: dictionaries, quantile tables and the users' own attributes.

A quantile table turns 16 random bits into a value by one look-up: entry ``i`` of ``2**16`` holds
the value at quantile ``(i + 0.5) / 2**16``. Memory O(users + URLs + tables).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bench import shape as shapes

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.shape import Shape

    Floats = npt.NDArray[np.float64]
    Codes = npt.NDArray[Any]

BITS = 16
URL_BITS = 21
# Share of a user rank: (rank + ZIPF_SHIFT) ^ -ZIPF_POWER. The shift keeps the busiest user human.
ZIPF_POWER = 0.8
ZIPF_SHIFT = 200
SESSION_EVENTS = 8.0
MAX_SESSION_EVENTS = 60
# Time between two events of a session: mean and bounds. Never so long as to cut the session.
GAP_MS = (200.0, 45_000.0, 600_000.0)
LATE_MS = (2 * 60_000.0, 3 * 24 * 3_600_000.0)
_HEX = b"0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables of one shape; see the module."""

    event: Codes
    channel: Codes
    own_page: Codes
    product: Codes
    pieces: Codes
    duration: Codes
    url: Codes
    coupon: Codes
    tag_count: Codes
    gap: Codes
    session: Codes
    late: Codes
    amount: Floats
    """Amount of ``product * 4 + pieces``."""
    curve_x: Floats
    curve_ms: Floats
    user_step: int
    """User number of an activity rank: ``rank * user_step % users``; the two are coprime."""
    user_os: Codes
    user_city: Codes
    user_version: Codes
    user_upgrade: Floats
    user_level: Codes
    user_birth_year: Codes
    hex4: Codes
    digits4: Codes
    names: dict[str, pa.Array]


def _cumulative(weights: Floats) -> Floats:
    total = np.cumsum(weights)
    shares: Floats = total / total[-1]
    return shares


def _zipf(n: int, power: float, shift: float = 0.0) -> Floats:
    ranks = np.arange(1, n + 1, dtype=np.float64)
    return _cumulative((ranks + shift) ** -power)


def _quantiles(shares: Floats, dtype: Any, bits: int = BITS) -> Codes:
    middle = (np.arange(1 << bits) + 0.5) / (1 << bits)
    return np.searchsorted(shares, middle, side="right").astype(dtype)


def _middle() -> Floats:
    values: Floats = (np.arange(1 << BITS) + 0.5) / (1 << BITS)
    return values


def _coprime(users: int) -> int:
    step = int(users * 0.6180339887) | 1
    while math.gcd(step, users) != 1:
        step += 2
    return step


def _url_texts(shape: Shape, rng: np.random.Generator) -> pa.Array:
    """Texts of some 60 bytes; the number keeps them distinct, the rest repeats as in life."""
    n = shape.urls
    kind = rng.integers(0, 12, n).tolist()
    source = rng.integers(0, 25, n).tolist()
    return pa.array(
        [
            f"https://m.bank.example/{_SECTIONS[k]}/detail?id={i:07d}&src=c{s:02d}&v={i % 7}"
            for i, (k, s) in enumerate(zip(kind, source, strict=True))
        ]
    )


_SECTIONS = (
    "loan", "deposit", "fund", "card", "transfer", "bill",
    "news", "branch", "gift", "insure", "gold", "help",
)  # fmt: skip


def make_tables(shape: Shape) -> Tables:
    """The tables of a shape; the same for equal shapes."""
    rng = np.random.default_rng([shape.seed, 0])
    users = shape.users
    load = np.tile(np.array(shapes.HOUR_LOAD, dtype=np.float64), shape.days)
    weekday = np.repeat(1.0 - 0.15 * (np.arange(shape.days) % 7 >= 5), 24)
    curve = np.concatenate([[0.0], np.cumsum(load * weekday)])
    middle = _middle()
    # Price points as shops write them: 9.90, 49.00, 129.99 …, 200 of them up to 333.
    prices = np.round(rng.integers(1, 333, 200) + rng.choice([0.0, 0.5, 0.9, 0.99], 200), 2)
    price = rng.choice(prices, shapes.PRODUCTS)
    low, mean, high = GAP_MS
    lengths = np.ceil(np.log1p(-middle) / math.log1p(-1.0 / SESSION_EVENTS))
    first, last = LATE_MS
    hex2 = np.array([[_HEX[i >> 4], _HEX[i & 15]] for i in range(256)], dtype=np.uint8)
    pairs = np.arange(1 << 16)
    hex4 = np.concatenate([hex2[pairs >> 8], hex2[pairs & 255]], axis=1)
    digits = np.array([list(f"{i:04d}".encode()) for i in range(10_000)], dtype=np.uint8)
    return Tables(
        event=_quantiles(_zipf(shapes.EVENTS, 1.0), np.uint8),
        channel=_quantiles(np.array([0.5, 0.8, 0.95, 1.0]), np.uint8),
        own_page=_quantiles(_zipf(shapes.PAGES // shapes.EVENTS, 0.9), np.uint8),
        product=_quantiles(_zipf(shapes.PRODUCTS, 0.7, 5), np.uint16),
        pieces=_quantiles(np.array([0.7, 0.92, 1.0]), np.uint8),
        duration=np.minimum(-2_500.0 * np.log1p(-middle), 30_000.0).astype(np.int32),
        url=_quantiles(_zipf(shape.urls, 0.9), np.uint32, URL_BITS),
        coupon=_quantiles(
            np.concatenate(
                [
                    _zipf(shapes.COUPONS, 0.8) * shapes.COUPON_SHARE,
                    [1.0],
                ]
            ),
            np.uint8,
        ),
        tag_count=_quantiles(np.array([0.6, 0.85, 0.95, 1.0]), np.uint8),
        gap=np.minimum(low - (mean - low) * np.log1p(-middle), high).astype(np.int32),
        session=np.clip(lengths, 1, MAX_SESSION_EVENTS).astype(np.uint8),
        late=(first * (last / first) ** middle).astype(np.int32),
        amount=np.round(price[:, None] * np.array([1, 2, 3, 0]), 2).reshape(-1),
        curve_x=curve / curve[-1],
        curve_ms=np.arange(len(curve), dtype=np.float64) * 3_600_000,
        user_step=_coprime(users),
        user_os=rng.choice(3, users, p=[0.55, 0.33, 0.12]).astype(np.uint8),
        user_city=_quantiles(_zipf(shapes.CITIES, 0.8), np.uint16)[
            rng.integers(0, 1 << BITS, users)
        ],
        user_version=rng.integers(0, shapes.VERSIONS - 1, users).astype(np.uint8),
        user_upgrade=rng.random(users) * 2.0,
        user_level=rng.choice(5, users, p=[0.6, 0.2, 0.12, 0.06, 0.02]).astype(np.uint8),
        user_birth_year=rng.integers(1945, 2009, users).astype(np.int16),
        hex4=np.ascontiguousarray(hex4).view(np.uint32).reshape(-1),
        digits4=digits.view(np.uint32).reshape(-1),
        names={
            "event": pa.array([shapes.event_name(k + 1) for k in range(shapes.EVENTS)]),
            "channel": pa.array(shapes.CHANNELS),
            "os": pa.array(shapes.SYSTEMS),
            "city": pa.array([shapes.city_name(k) for k in range(shapes.CITIES)]),
            "app_version": pa.array([f"9.{k // 4}.{k % 4}" for k in range(shapes.VERSIONS)]),
            "page": pa.array([f"/p/{k:03d}" for k in range(shapes.PAGES)]),
            "product_id": pa.array([f"P{k:05d}" for k in range(shapes.PRODUCTS)]),
            "url": _url_texts(shape, rng),
            "coupon": pa.array([f"CPN{k:02d}" for k in range(shapes.COUPONS)]),
            "level": pa.array(shapes.LEVELS),
        },
    )
