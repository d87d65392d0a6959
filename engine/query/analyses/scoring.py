"""Scores of users that are made outside a query, for tags: the model that scores users lends them.

One object, :data:`SCORES`, so that who uses it need not know which model it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zuji.engine.query.analyses import rfm
from zuji.engine.query.analyses.rfm import LAYERS, RfmBody, RfmQuery, Thresholds, cells_of_users

if TYPE_CHECKING:
    from zuji.engine.query.model import Events, Time

__all__ = ["SCORES", "Scores", "Thresholds"]


@dataclass(frozen=True, slots=True)
class Scores:
    """``name`` of the model, its ``letters`` (one a score, each 1 to 5) and its ``layers``."""

    name: str
    letters: str
    layers: tuple[str, ...]

    def question(
        self,
        events: Events,
        monetary: str,
        time: Time,
        *,
        layers: bool,
        thresholds: Thresholds | None,
        quantiles: tuple[float, ...] | None,
    ) -> Any:
        """The query whose cells :meth:`of_users` reads: ``layers``, or scores."""
        body = RfmBody(
            event=events,
            monetary=monetary,
            cells="layers" if layers else "scores",
            thresholds=thresholds or Thresholds(),
            quantiles=quantiles,
        )
        return RfmQuery(time=time, body=body).completed()

    of_users = staticmethod(cells_of_users)


SCORES = Scores(rfm.MODEL.name, rfm.MODEL.name, tuple(LAYERS))
