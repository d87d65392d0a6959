"""Random queries: every parameter of every model. A case is ``(project seed, query number)``; the
same numbers give the same case on every machine.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.oracle.generate import DAY, HOUR, ZONES
from tests.oracle.models import MODELS
from tests.oracle.parts import audience, breakdowns, filter_of_rows
from tests.oracle.walltime import EPOCH, local_date

if TYPE_CHECKING:
    from tests.oracle.generate import Case


def query_of(case: Case, number: int, model: str | None = None) -> dict[str, Any]:
    """Query ``number`` of a project: of that model, or of one of the first three."""
    if model is None:
        rng = random.Random(f"query {case.seed} {number}")
        model = rng.choice(["event", "funnel", "funnel", "retention"])
    else:
        rng = random.Random(f"query {case.seed} {number} {model}")
    document: dict[str, Any] = {
        "v": 1,
        "model": model,
        "time": _time(rng, case, MODELS[model].GRAINS),
    }
    if rng.random() < 0.15:
        document["where"] = filter_of_rows(rng, 0)
    if rng.random() < 0.15:
        document["audience"] = audience(rng, 0)
    if rng.random() < 0.35:
        document["by"] = breakdowns(rng, model)
        if rng.random() < 0.6:
            document["top"] = {"n": rng.choice([1, 2, 3, 20]), "other": rng.random() < 0.7}
    if rng.random() < 0.1:
        document["compare"] = {"shift": rng.choice(["-1d", "-7d", "-1M", "-2w", "-1q", "-1y"])}
        if rng.random() < 0.4:
            document["compare"] = {"audience": audience(rng, 0)}
    document["body"] = MODELS[model].body(rng, document)
    return document


def _time(rng: random.Random, case: Case, grains: tuple[str, ...] | None) -> dict[str, Any]:
    zone = case.tz if rng.random() < 0.75 else rng.choice(ZONES)[0]
    span = (case.last - case.first) // DAY + 1
    if rng.random() < 0.7:
        low, high = case.first - rng.choice([0, DAY]), case.last + rng.choice([0, -DAY, DAY])
        high = max(low, high)
    else:
        low = case.first + rng.randint(-2, span) * DAY
        high = low + rng.choice([0, 1, 3, 10, span]) * DAY
    found: dict[str, Any] = {"tz": zone}
    if rng.random() < 0.85:
        found["from"] = local_date(low, zone).isoformat()
        found["to"] = local_date(high, zone).isoformat()
    else:
        shift = rng.choice([0, 1, 5 * HOUR + 1])
        ends = [low + shift, high + shift + rng.choice([1, HOUR, DAY])]
        texts = [
            (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") for ms in ends
        ]
        found["from"], found["to"] = texts
    if grains is not None:
        found["grain"] = rng.choice(grains)
    else:
        every = ["day", "day", "week", "month", "quarter", "year", "all"]
        every += ["hour"] if high - low <= 4 * DAY else []
        found["grain"] = rng.choice(every)
    if rng.random() < 0.3:
        found["week_start"] = rng.randint(1, 7)
    if rng.random() < 0.1:
        del found["tz"]
        if "T" in found["from"]:
            return found
        found["from"] = local_date(low, case.tz).isoformat()
        found["to"] = local_date(high, case.tz).isoformat()
    return found
