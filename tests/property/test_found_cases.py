"""Pairs that once differed, shrunk: each stays as it was found, with what was wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.generate import Case
from tests.property.shrink import differs

START = 1_541_041_200_000
DAY = 86_400_000
WEEK = 7 * DAY


def event(name: str, at: int) -> dict[str, Any]:
    return {"user_id": "u", "event": name, "time": START + at, "properties": {}}


def funnel(steps: list[Any], *, optional: tuple[int, ...] = (), **body: Any) -> dict[str, Any]:
    time = {"from": "2018-10-31", "to": "2018-11-30", "tz": "UTC"}
    asked = [{"e": e, **({"optional": True} if i in optional else {})} for i, e in enumerate(steps)]
    return {"model": "funnel", "time": time, "body": {"steps": asked, **body}}


CASES = {
    # The chain is complete with the first row of the later instant (open as step 2 first, then
    # "leave page" as step 1); taking the second row swallowed the start of the next attempt.
    "any_order_strict_ties_end_at_the_earliest_row": (
        [[event("leave page", WEEK)], [event("open", 0), event("open", WEEK)]],
        funnel([["open", "leave page"], "open"], order="any_order", ties="strict", count="entries"),
    ),
    # A strict chain that another event has ended is not between its steps any more, so an
    # exclusion after that does not remove the user.
    "a_broken_strict_chain_is_not_removed": (
        [[event("pay", 0), event("open", 1), event("view", 2)]],
        funnel(
            ["pay", "view"],
            order="strict",
            exclude=[{"e": "view", "between": [1, 2], "on": "remove"}],
        ),
    ),
    # With ties "any" the last row of a chain is the last in the funnel's order, not as sent.
    "the_last_row_of_a_chain_under_ties_any": (
        [[{**event("pay", 0), "properties": {"c": "x"}}, event("view", 0)]],
        {**funnel(["view", "pay"], ties="any"), "by": [{"p": "event.c", "attr": "last"}]},
    ),
    # Two optional steps of one instant take rows in another order than their own; the last row is
    # the one sent last, not that of the later step.
    "the_last_row_among_optional_steps_of_one_instant": (
        [
            [
                event("open", 0),
                {**event("pay", 5), "properties": {"c": "x"}},
                {**event("view", 5), "properties": {"c": "y"}},
            ]
        ],
        {
            **funnel(["open", "view", "pay", "leave page"], optional=(1, 2)),
            "by": [{"p": "event.c", "attr": "last"}],
        },
    ),
    # More than 1,000 bands of one width are refused; the oracle made them all.
    "a_width_of_more_than_a_thousand_bands": (
        [[{**event("pay", i * DAY), "properties": {"a": 2_500.0 * i}} for i in range(2)]],
        {
            "model": "distribution",
            "time": {"from": "2018-10-31", "to": "2018-11-30", "tz": "UTC"},
            "body": {"e": "pay", "measure": {"max": "event.a"}, "buckets": {"width": 2}},
        },
    ),
    # Credit is in whole shares, and what the division by three leaves over goes to the first touch,
    # though it has 0 %: of 2⁵³ that is 0.125, which the oracle's fractions had not.
    "a_share_left_over_goes_to_the_first_touch": (
        [
            [{**event("view", i), "properties": {"c": f"touch {i}"}} for i in range(5)]
            + [{**event("pay", 9), "properties": {"n": 2.0**53}}]
        ],
        {
            "model": "attribution",
            "time": {"from": "2018-10-31", "to": "2018-11-30", "tz": "UTC", "grain": "all"},
            "body": {
                "target": {"e": "pay", "value": "event.n"},
                "touches": [{"e": "view", "as": "v", "name": "event.c"}],
                "models": [{"position": [0, 100, 0]}],
            },
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_found_case(name):
    batches, query = CASES[name]
    assert not differs(Case(0, "UTC", 1, [(None, events) for events in batches]), query)
