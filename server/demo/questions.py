"""The three questions of the demo, as query documents that can be copied."""

from __future__ import annotations

from typing import Any

QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "Sales by department, week by week",
        {
            "model": "event",
            "time": {"from": "2017-01-02", "to": "2017-12-31", "grain": "week"},
            "by": [{"p": "event.department"}],
            "top": {"n": 6, "other": True},
            "body": {
                "series": [
                    {"e": "purchase", "measure": {"sum": "event.sales_value"}, "as": "sales"}
                ]
            },
        },
    ),
    (
        "From a campaign to a coupon to a discount, within 60 days, by type of campaign",
        {
            "model": "funnel",
            "time": {"from": "2017-01-01", "to": "2017-12-31"},
            "by": [{"p": "event.campaign_type", "attr": {"step": 1}}],
            "body": {
                "steps": [
                    {"e": "campaign_contact", "as": "contacted"},
                    {"e": "coupon_redemption", "as": "redeemed a coupon"},
                    {
                        "e": "purchase",
                        "as": "bought at a discount",
                        "where": {"p": "event.coupon_disc", "op": "gt", "v": 0},
                    },
                ],
                "window": {"n": 60, "unit": "day"},
                "measure": ["count", "rate", "step_rate", "ttc_p50"],
            },
        },
    ),
    (
        "Households that come back: weekly retention of purchases",
        {
            "model": "retention",
            "time": {"from": "2017-01-02", "to": "2017-03-26", "grain": "week"},
            "body": {
                "start": {"e": "purchase"},
                "return": {"e": "purchase"},
                "periods": 12,
                "cohort": "first_in_range",
            },
        },
    ),
)
