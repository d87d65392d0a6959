"""The models: one module each, in one table. No model's name is known elsewhere in the engine.

A module offers a :class:`answer.Model`: its part of the language, what it reads, its rows and the
users behind a cell.
"""

from typing import Final

from zuji.engine.query.analyses import (
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
from zuji.engine.query.answer import Model

ANALYSES: Final[dict[str, Model]] = {
    module.MODEL.name: module.MODEL
    for module in (
        attribution,
        concurrency,
        clicks,
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
}

__all__ = ["ANALYSES"]
