"""Every model built by clicking: the page asks what was clicked, and shows the API's numbers."""

from __future__ import annotations

import pytest

from tests.console.building import answered, choose, compare, pick, soon, table
from tests.console.places import MODELS
from tests.console.site import ANALYST, Visitor


def event(page):
    pick(page, 0, "login")
    choose(page, "指标", "用户数")


def funnel(page):
    page.get_by_role("button", name="添加步骤").click()
    for place, name in enumerate(("transfer_start", "transfer_confirm", "transfer_done")):
        pick(page, place, name)


def retention(page):
    pick(page, 0, "login")
    pick(page, 1, "transfer_done")


def path(page):
    pick(page, 0, "page_view")


def interval(page):
    pick(page, 0, "transfer_start")
    page.get_by_role("region", name="分析条件").get_by_role(
        "button", name="与起始事件相同"
    ).first.click()
    pick(page, 1, "transfer_done")


def attribution(page):
    pick(page, 0, "buy")
    pick(page, 2, "campaign_open")


def one_event(page):
    pick(page, 0, "login")


def ltv(page):
    pick(page, 0, "login")
    pick(page, 1, "transfer_done")
    pick(page, 2, "amount")


def rfm(page):
    pick(page, 0, "transfer_done")
    pick(page, 1, "amount")


def nothing(page):
    """What the page begins with is a question."""


LOGIN = {"e": "login"}
BUILT = {
    "event": (event, {"series": [{"e": "login", "measure": "users"}]}),
    "funnel": (
        funnel,
        {"steps": [{"e": "transfer_start"}, {"e": "transfer_confirm"}, {"e": "transfer_done"}]},
    ),
    "retention": (retention, {"start": LOGIN, "return": {"e": "transfer_done"}}),
    "path": (path, {"events": [{"e": "page_view"}]}),
    "distribution": (one_event, {"e": "login", "measure": "times"}),
    "interval": (interval, {"start": {"e": "transfer_start"}, "end": {"e": "transfer_done"}}),
    "attribution": (attribution, {"target": {"e": "buy"}, "touches": [{"e": "campaign_open"}]}),
    "session": (one_event, {"events": LOGIN}),
    "user_property": (nothing, {}),
    "clicks": (nothing, {}),
    "ltv": (ltv, {"start": LOGIN, "values": [{"e": "transfer_done", "p": "event.amount"}]}),
    "lifecycle": (one_event, {"event": LOGIN}),
    "stickiness": (one_event, {"event": LOGIN}),
    "rfm": (rfm, {"event": {"e": "transfer_done"}, "monetary": "event.amount"}),
    "concurrency": (one_event, {"events": LOGIN}),
}


@pytest.fixture(scope="module")
def analyst(site, browser):
    """One for all models."""
    analyst = Visitor(browser, site, ANALYST)
    yield analyst
    analyst.close()


def test_every_model_is_here():
    assert set(BUILT) == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_built_by_clicking_shows_the_numbers_of_the_api(analyst, site, model):
    build, expected = BUILT[model]
    page = analyst.open(f"/analysis/{model}")
    build(page)
    query = answered(page, expected)
    assert query["model"] == model
    soon(page, lambda: compare(table(page), site.ask("/v1/query", query)))
    assert analyst.breaches() == []
