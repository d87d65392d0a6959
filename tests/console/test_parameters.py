"""What is rarely set, by clicking: each control changes the query as it says, and the page shows
the API's numbers.
"""

from __future__ import annotations

import pytest

from tests.console.building import (
    ANSWER,
    QUESTION,
    answered,
    choose,
    compare,
    condition,
    number,
    open_more,
    pick,
    select,
    soon,
    table,
    take,
    told,
)
from tests.console.site import ANALYST, Visitor

STEPS = ("transfer_start", "transfer_confirm", "transfer_done")


@pytest.fixture(scope="module")
def analyst(site, browser):
    """One for all questions of this file."""
    analyst = Visitor(browser, site, ANALYST)
    yield analyst
    analyst.close()


@pytest.fixture
def start(analyst):
    """Opens a model with nothing chosen yet."""

    def start(model):
        page = analyst.open(f"/analysis/{model}")
        page.get_by_role("button", name="清空条件").click()
        return page

    yield start
    assert analyst.breaches() == []


def field(page, label):
    return page.get_by_role("region", name=QUESTION).get_by_label(label, exact=True)


def picker(page, label):
    """Buttons of the searchable lists of this label."""
    question = page.get_by_role("region", name=QUESTION)
    return question.locator(f"button.pick[aria-label^='{label}']").locator("visible=true")


def as_shown(page, site, query):
    """The table has the numbers of the API's answer."""
    answer = site.ask("/v1/query", query)
    soon(page, lambda: compare(table(page), answer))
    return answer


def funnel(page):
    page.get_by_role("button", name="添加步骤").click()
    for place, name in enumerate(STEPS):
        pick(page, place, name)


def test_a_funnel_has_ties_percentiles_sums_and_names(start, site):
    page = start("funnel")
    funnel(page)
    page.get_by_role("button", name="自定义名称 1").click()
    field(page, "步骤名称 1").fill("开始")
    open_more(page)
    choose(page, "同一时刻", "按最有利于转化的先后")
    choose(page, "进入条件", "首次进入")
    choose(page, "其他分位数", "90 分位")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="添加步骤金额").click()
    take(page, picker(page, "步骤金额").first, "amount")
    choose(page, "金额所在步骤", "第 3 步")
    query = answered(
        page,
        {
            "steps": [{"e": STEPS[0], "as": "开始"}, {"e": STEPS[1]}, {"e": STEPS[2]}],
            "ties": "any",
            "entry": "first",
            "measure": ["ttc_median", "ttc_p90", {"sum": "event.amount", "step": 3}],
        },
    )
    answer = as_shown(page, site, query)
    assert {"ttc_p90", "sum(event.amount)@3"} <= {one["name"] for one in answer["columns"]}
    page.get_by_role("region", name=ANSWER).get_by_text("1. 开始").wait_for()


def test_a_funnel_excludes_between_two_steps_and_holds_properties_of_two_names(start, site):
    page = start("funnel")
    funnel(page)
    page.get_by_role("button", name="排除事件", exact=True).click()
    take(page, picker(page, "排除事件").first, "campaign_open")
    choose(page, "排除范围：止", "第 2 步")
    open_more(page)
    page.get_by_role("button", name="各处属性名不同时").click()
    for place in range(3):
        take(page, picker(page, "关联属性 ·").nth(place), "channel" if place else "city")
    held = [{"step": k + 1, "p": f"event.{'channel' if k else 'city'}"} for k in range(3)]
    query = answered(page, {"exclude": [{"e": "campaign_open", "between": [1, 2]}], "hold": [held]})
    take(page, picker(page, "关联属性 ·").nth(0), "channel")
    held[0]["p"] = "event.channel"
    query = answered(page, {"hold": [held]})
    as_shown(page, site, query)


def test_a_funnel_is_read_at_a_step(start, site):
    page = start("funnel")
    funnel(page)
    take(page, picker(page, "添加分组").first, "city")
    choose(page, "归属步骤", "第 2 步")
    query = told(page, {"by": [{"p": "event.city", "attr": {"step": 2}}]})
    as_shown(page, site, query)


def test_an_interval_has_percentiles_and_starts_before_the_range(start, site):
    page = start("interval")
    pick(page, 0, "login")
    open_more(page)
    choose(page, "跨期起始", "更早的起始事件也参与配对")
    choose(page, "同一时刻", "不算先后（时间须更晚）")
    choose(page, "其他分位数", "95 分位")
    page.keyboard.press("Escape")
    choose(page, "直方图分段", "自定义")
    choose(page, "直方图分界 单位", "天")
    number(field(page, "直方图分界"), "1, 3, 7")
    days = [one * 86_400_000 for one in (1, 3, 7)]
    body = {"since": "ever", "ties": "strict", "percentiles": [95], "histogram": days}
    query = answered(page, body)
    answer = as_shown(page, site, query)
    assert "p95" in {one["name"] for one in answer["columns"]}
    as_shown(page, site, answered(page, body))


def test_an_attribution_has_weights_of_its_own(start, site):
    page = start("attribution")
    pick(page, 0, "buy")
    pick(page, 2, "campaign_open")
    page.get_by_role("button", name="自定义名称 1").click()
    field(page, "触点名称 1").fill("活动")
    page.get_by_role("button", name="自定义位置权重").click()
    number(field(page, "首次触点占比（%）"), 10)
    page.get_by_role("button", name="自定义衰减速度").click()
    number(field(page, "半衰期"), 2)
    open_more(page)
    page.get_by_text("同一触点可归给多次转化").click()
    models = [{"position": [10, 60, 30]}, {"time_decay": {"n": 2, "unit": "day"}}]
    body = {"models": ["first", "last", "linear", *models], "reuse": False}
    query = answered(page, {**body, "touches": [{"e": "campaign_open", "as": "活动"}]})
    answer = as_shown(page, site, query)
    assert len(answer["columns"]) >= 5
    page.get_by_role("region", name=ANSWER).locator("tbody").get_by_text("活动").first.wait_for()


def test_sessions_begin_with_an_event_and_are_cut_at_midnight(start, site):
    page = start("session")
    choose(page, "分布", "按时长")
    number(field(page, "分界值"), "1, 5")
    open_more(page)
    page.get_by_role("button", name="起始事件: 不限").click()
    take(page, picker(page, "起始事件").first, "login")
    page.get_by_text("零点时切分会话").click()
    choose(page, "时长分位数", "25 分位")
    page.keyboard.press("Escape")
    query = answered(
        page,
        {
            "session": {"start": {"e": "login"}, "midnight": True},
            "distribution": {"of": "duration", "edges": [60_000, 300_000]},
        },
    )
    assert "duration_p25" in query["body"]["measure"]
    as_shown(page, site, query)


def test_who_is_there_at_once_is_cut_at_midnight(start, site):
    page = start("concurrency")
    choose(page, "分钟粒度", "20 分钟")
    open_more(page)
    page.get_by_text("零点时切分会话").click()
    as_shown(page, site, answered(page, {"session": {"midnight": True}, "minutes": 20}))


def test_an_event_has_any_percentile(start, site):
    page = start("event")
    pick(page, 0, "transfer_done")
    choose(page, "指标", "分位数")
    number(field(page, "分位数"), 75)
    take(page, picker(page, "属性").first, "amount")
    query = answered(page, {"series": [{"e": "transfer_done", "measure": {"p75": "event.amount"}}]})
    found = site.query(query)
    assert any(row["value"] for row in found)


def test_clicks_of_another_page_by_position(start, site):
    page = start("clicks")
    page.get_by_text("按位置", exact=True).click()
    take(page, picker(page, "页面").first, "/loan")
    number(field(page, "列数"), 12)
    query = answered(page, {"on": "/loan", "grid": {"columns": 12, "row_height": 20}})
    answer = as_shown(page, site, query)
    names = [one["name"] for one in answer["columns"]]
    assert {row[names.index("page")] for row in answer["rows"]} == {"/loan"}
    number(field(page, "行高（像素）"), 100)
    as_shown(page, site, answered(page, {"grid": {"columns": 12, "row_height": 100}}))


def test_a_persona_of_two_audiences(start, site):
    page = start("user_property")
    page.get_by_text("人群画像", exact=True).click()
    leaf = condition(page, 0, "用户属性").first
    take(page, leaf.locator("button.pick").first, "level")
    take(page, leaf.locator("button.pick").last, "金卡")
    leaf = condition(page, 1, "做过事件").last
    take(page, leaf.locator("button.pick").first, "transfer_done")
    number(leaf.get_by_label("值", exact=True), 3)
    query = answered(
        page,
        {
            "persona": {
                "group": {"all": [{"user": {"p": "user.level", "op": "in", "v": ["金卡"]}}]},
                "base": {"all": [{"did": {"e": "transfer_done", "count": {"op": "gte", "v": 3}}}]},
            }
        },
    )
    answer = as_shown(page, site, query)
    names = [one["name"] for one in answer["columns"]]
    gold = [row for row in answer["rows"] if row[names.index("value")] == "金卡"]
    assert gold
    assert gold[0][names.index("tgi")] > 100


def test_a_persona_has_buckets_of_its_own(start, site):
    page = start("user_property")
    page.get_by_text("人群画像", exact=True).click()
    page.get_by_role("region", name=QUESTION).get_by_text("自动分段", exact=True).first.click()
    number(field(page, "年龄分段"), "30, 60")
    told(page, {"body": {"auto_buckets": []}})
    query = page_query(page, "buckets")
    age = next(one for one in query["body"]["persona"]["properties"] if one["p"] == "user.age")
    assert age["buckets"] == [30, 60]
    as_shown(page, site, query)


def page_query(page, name):
    """The query, once it has a field of this name somewhere."""
    from tests.console.building import asked

    for _ in range(100):
        query = asked(page)
        if f"'{name}'" in str(query):
            page.wait_for_timeout(800)
            return told(page, {})
        page.wait_for_timeout(100)
    raise AssertionError(f"no {name} in {query}")


def test_scores_have_shares_and_edges_of_their_own(start, site):
    page = start("rfm")
    pick(page, 0, "transfer_done")
    pick(page, 1, "amount")
    number(field(page, "分位点"), 80)
    number(field(page, "最近（天）"), 7)
    query = answered(page, {"quantiles": [0.8], "thresholds": {"recency": [7]}})
    answer = as_shown(page, site, query)
    assert answer["totals"]["thresholds"]["recency"] == [7]
    number(field(page, "频次"), "2, 3")
    page.get_by_text("需要填 1 个数").wait_for()


def test_weeks_begin_on_sunday_and_in_another_zone(start, site):
    page = start("event")
    pick(page, 0, "login")
    select(page.get_by_role("region", name=ANSWER), "时间粒度", "按周")
    page.get_by_role("button", name="时间与对比的更多设置").click()
    select(page, "每周开始于", "周日")
    take(page, page.locator("button.pick[aria-label^='时区']"), "Tokyo")
    query = told(page, {"time": {"week_start": 7, "tz": "Asia/Tokyo", "grain": "week"}})
    as_shown(page, site, query)


def test_a_range_is_compared_with_any_other_and_with_other_users(start, site):
    page = start("event")
    pick(page, 0, "login")
    page.get_by_role("button", name="时间与对比的更多设置").click()
    number(page.get_by_label("向前对比", exact=True), 3)
    as_shown(page, site, told(page, {"compare": {"shift": "-3d"}}))
    page.get_by_text("对比 3 天前").first.wait_for()
    leaf = condition(page, 0, "用户属性").first
    take(page, leaf.locator("button.pick").first, "level")
    take(page, leaf.locator("button.pick").last, "白金")
    audience = {"user": {"p": "user.level", "op": "in", "v": ["白金"]}}
    query = told(page, {"compare": {"audience": {"all": [audience]}}})
    as_shown(page, site, query)


def test_a_lifecycle_is_drawn_beside_the_period_before(start, site):
    page = start("lifecycle")
    pick(page, 0, "login")
    select(page.get_by_role("region", name=ANSWER), "对比", "对比上一周期")
    answered(page, {"event": {"e": "login"}})
    query = told(page, {"compare": {}})
    answer = as_shown(page, site, query)
    names = [one["name"] for one in answer["columns"]]
    ranges = {row[names.index("range")] for row in answer["rows"]}
    assert ranges == {"current", "previous"}
    assert query["compare"]["shift"]


def test_a_cohort_of_an_order_a_sum_and_dates(analyst, site):
    page = analyst.open("/cohorts/edit")
    page.get_by_label("名称", exact=True).fill("按顺序转账")
    leaf = condition(page, 0, "依次做过").last
    for place, name in enumerate(("login", "transfer_done")):
        take(page, leaf.locator("button.pick").filter(has_not_text="筛选条件").nth(place), name)
    select(leaf, "单位", "小时")
    leaf = condition(page, 0, "做过事件").last
    take(page, leaf.locator("button.pick").first, "transfer_done")
    select(leaf, "指标", "总和")
    take(page, leaf.locator("button.pick[aria-label^='属性']").first, "amount")
    number(leaf.get_by_label("值", exact=True), 1000)
    select(leaf, "时间", "指定日期")
    leaf.get_by_role("button", name="时间范围").click()
    page.get_by_role("button", name="过去 14 天").locator("visible=true").click()
    page.get_by_text("更新周期与时间范围").click()
    select(page, "行为时间范围", "指定时间段")
    page.get_by_role("button", name="时间范围").last.click()
    page.get_by_role("button", name="过去 30 天").locator("visible=true").click()
    page.locator(".size .big").first.wait_for()
    page.get_by_role("button", name="保存", exact=True).click()
    page.wait_for_url("**/cohorts/view*")
    made = site.ask(f"/v1/cohorts/{quoted('按顺序转账')}")
    one, other = made["definition"]["rule"]["all"]
    assert [step["e"] for step in one["sequence"]["steps"]] == ["login", "transfer_done"]
    assert one["sequence"]["within"] == {"n": 7, "unit": "hour"}
    assert other["did"]["measure"] == {"sum": "event.amount"}
    assert other["did"]["value"] == {"op": "gte", "v": 1000}
    assert other["did"]["within"] == {"from": "-14d", "to": "yesterday"}
    assert made["definition"]["time"]["from"] == "-30d"
    size = site.ask("/v1/cohorts/estimate", made["definition"])["users"]
    assert size > 0
    page.get_by_text(f"{size:,}").first.wait_for()


def quoted(name):
    from urllib.parse import quote

    return quote(name)


def test_a_tag_of_scores_with_edges(analyst, site):
    page = analyst.open("/tags/edit")
    page.get_by_label("名称", exact=True).fill("客户分层")
    page.get_by_text("RFM 分层", exact=True).click()
    take(page, page.locator("#main button.pick").first, "transfer_done")
    take(page, page.locator("#main button.pick[aria-label^='属性']").last, "amount")
    open_more(page)
    number(page.get_by_label("最近（天）", exact=True), 14)
    number(page.get_by_label("分位点", exact=True), 70)
    page.get_by_role("button", name="保存", exact=True).click()
    page.wait_for_url("**/tags/view*")
    rule = site.ask(f"/v1/tags/{quoted('客户分层')}")["definition"]["rule"]
    assert rule["thresholds"]["recency"] == [14]
    assert rule["quantiles"] == [0.7]
    site.ask("/v1/tags/refresh", {"names": ["客户分层"]})
    values = site.ask(f"/v1/tags/{quoted('客户分层')}/values")
    page.reload()
    analyst.settle()
    for _, users in values["rows"]:
        page.get_by_text(f"{users:,}", exact=True).first.wait_for()
    assert values["rows"]
