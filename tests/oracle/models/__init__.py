"""The models of the oracle, by name; each as plain as its page, sharing nothing with the engine.

A module offers ``GRAINS`` (grains that the model takes, None: all), ``COORDINATES`` (fixed columns
that name a row beside ``range bucket is_other``), ``body(rng, document)`` (a random body; the
envelope is there already and may be changed), ``wanted(body)`` ((property, ``number`` or
``ordered``) that the engine must refuse when they are of another kind), ``check(project, body)``
(raises RefusedQuery), ``answer(project, query, span, users, now)`` (rows as dicts), and
``picks(query, row)`` ((coordinates, users) of cells that count users). It may offer
``totals(project, query, span, users, now)``, all rows of the answer's totals as dicts, and
``overall`` with the same arguments, the totals over all groups by name.
"""

from types import ModuleType

from tests.oracle.models import (
    attribution,
    clicks,
    concurrency,
    distribution,
    event,
    funnel,
    interval,
    lifecycle,
    ltv,
    path,
    retention,
    rfm,
    session,
    stickiness,
    user_property,
)

MODELS: dict[str, ModuleType] = {
    "attribution": attribution,
    "clicks": clicks,
    "ltv": ltv,
    "event": event,
    "funnel": funnel,
    "retention": retention,
    "lifecycle": lifecycle,
    "stickiness": stickiness,
    "user_property": user_property,
    "rfm": rfm,
    "distribution": distribution,
    "interval": interval,
    "path": path,
    "session": session,
    "concurrency": concurrency,
}
