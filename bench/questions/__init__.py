"""The timed questions, one file a family: each a Zuji query, the peers' best forms of it, and one
common shape of answer.

An answer is a dict of named integer cells, so two engines agree when their dicts are equal. Events
are chosen by their share: single-event questions ask for the ≈ 5 % event, funnels walk events of
3–8 %, none of them overlaps. A peer gets several forms of a question and is timed with the fastest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.questions import (
    actives,
    attribution,
    clicks,
    funnels,
    groups,
    ltv,
    numbers,
    paths,
    periods,
    profiles,
    retention,
    sessions,
    timelines,
    trends,
)

if TYPE_CHECKING:
    from bench.questions.question import Question
    from bench.shape import Shape


def questions(shape: Shape) -> list[Question]:
    """The questions for one data set, in the order of the report."""
    # Sessions over the first asked day would be cut by the peers' condition.
    whole = shape.asked_days == shape.days
    cut = [sessions.by_day(shape), sessions.online(shape)]
    own = [paths.links(shape), paths.session_paths(shape), *cut] if whole else []
    return [
        trends.trend(shape),
        groups.cities(shape),
        funnels.plain(shape, 3),
        funnels.plain(shape, 5),
        retention.plain(shape),
        retention.filtered(shape),
        actives.actives(shape),
        actives.cohort(shape),
        actives.five_rules(shape),
        funnels.filtered(shape),
        trends.twenty(shape),
        groups.urls(shape),
        numbers.distribution(shape),
        numbers.interval(shape),
        attribution.touches(shape),
        ltv.cohorts(shape),
        periods.lifecycle(shape),
        periods.stickiness(shape),
        periods.rfm(shape),
        profiles.persona(shape),
        clicks.elements(shape),
        timelines.first_page(shape),
        *own,
    ]
