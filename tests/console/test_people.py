"""Users: found by any id, looked at, erased by who may; data: the plan, refused events, live."""

from __future__ import annotations

import json
import re
import time
import zipfile

from tests.console import bank
from tests.console.site import ADMINISTRATOR, ANALYST, VIEWER


def find(page, text):
    page.get_by_label("输入用户的任意一个 ID").fill(text)
    page.get_by_role("button", name="查找").click()


def test_a_user_is_found_by_customer_device_and_phone(visit):
    who = visit(VIEWER)
    page = who.page
    who.expected += ["status of 404"]
    for text in ("c0007", "phone-0007", "13800000007"):
        who.open("/users")
        find(page, text)
        page.wait_for_url(re.compile("user_id=c0007"))
        page.get_by_role("heading", name="c0007").wait_for()
        page.get_by_text("13800000007").first.wait_for()
    who.open("/users")
    find(page, "nobody-9")
    page.get_by_role("heading", name="没有找到").wait_for()


def test_a_timeline_has_all_of_its_events(visit, site):
    whole = site.ask("/v1/users/timeline", {"user_id": "c0007", "limit": 1000})
    page = visit(VIEWER).open("/users/timeline?user_id=c0007")
    totals = whole["totals"]
    page.get_by_text(f"{totals['events']} 个事件，{totals['sessions']} 次会话").wait_for()
    page.locator(".session li").first.wait_for()
    while (more := page.get_by_role("button", name="加载更多")).count():
        more.click()
        page.wait_for_load_state("networkidle")
    assert page.locator(".session li").count() == totals["events"]
    page.locator(".session li button").first.click()
    page.locator(".session li dl").first.wait_for()


def test_everything_of_a_user_is_exported(visit):
    page = visit(ADMINISTRATOR).open("/users/timeline?user_id=c0007")
    with page.expect_download() as download:
        page.get_by_role("button", name="导出全部数据").click()
    with zipfile.ZipFile(download.value.path()) as whole:
        text = b"".join(whole.read(name) for name in whole.namelist()).decode()
    assert "c0007" in text
    assert "13800000007" in text


def test_a_user_is_erased_only_when_the_id_is_typed(visit):
    who = visit(ADMINISTRATOR)
    page = who.open("/users/timeline?user_id=c0398")
    page.get_by_role("button", name="删除该用户").click()
    dialog = page.get_by_role("dialog")
    button = dialog.get_by_role("button", name="永久删除")
    assert button.is_disabled()
    dialog.get_by_label("请输入 c0398 以确认").fill("c039")
    assert button.is_disabled()
    dialog.get_by_label("请输入 c0398 以确认").fill("c0398")
    button.click()
    page.wait_for_url(re.compile(r"/users\?"))
    who.expected += ["status of 404"]
    find(page, "c0398")
    page.get_by_role("heading", name="没有找到").wait_for()


def test_a_refused_event_is_mended_and_stored(visit, site):
    before = len(site.ask("/v1/rejected?reason=unknown_event")["rows"])
    page = visit(ADMINISTRATOR).open("/data/quarantine?reason=unknown_event")
    page.locator("table tbody button").first.click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_text("埋点方案中没有这个事件").wait_for()
    drawer.get_by_role("button", name="试算").click()
    drawer.get_by_text("仍不能入库").wait_for()
    drawer.get_by_role("combobox", name="事件").click()
    drawer.get_by_role("combobox", name="事件").fill("transfer_done")
    page.get_by_role("option", name="转账成功").locator("visible=true").first.click()
    drawer.get_by_role("button", name="试算").click()
    drawer.get_by_text("可以入库").wait_for()
    drawer.get_by_role("button", name="修正并入库").click()
    page.get_by_text("已入库 1 个").wait_for()
    assert len(site.ask("/v1/rejected?reason=unknown_event")["rows"]) == before - 1


def test_a_plan_is_edited_and_published(visit, site):
    before = site.ask("/v1/plan")["version"]
    page = visit(ANALYST).open("/data/plan")
    page.get_by_role("button", name="声明事件").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("英文名").fill("card_apply")
    dialog.get_by_label("显示名").fill("申请信用卡")
    dialog.get_by_role("button", name="确定").click()
    page.get_by_role("button", name="发布新版本").click()
    page.get_by_role("dialog").get_by_role("button", name="确定").click()
    page.get_by_text("已发布").wait_for()
    plan = site.ask("/v1/plan")
    assert plan["version"] == before + 1
    assert {"name": "card_apply", "title": "申请信用卡"} in plan["plan"]["events"]
    assert plan["author"] == ANALYST
    page.get_by_role("tab", name="历史版本").click()
    page.get_by_text("+ event card_apply").wait_for()


def test_events_are_shown_as_they_come(visit, site):
    page = visit(ADMINISTRATOR).open("/data/live")
    page.get_by_label("设备 ID").last.fill("phone-live")
    with page.expect_response("**/v1/live*"):
        page.get_by_role("button", name="开始").click()
    now = int(time.time() * 1000)
    one = {"time": now, "user_id": "c0001", "device_id": "phone-live", "properties": {}}
    bank.send(site.collector, site.write, [{**one, "event": "login"}, {**one, "event": "Nope"}])
    page.get_by_text("入库 1，拒收 1").wait_for()
    page.get_by_text("未声明的事件").first.wait_for()
    page.get_by_role("button", name="停止").click()


def test_two_thousand_events_are_few_elements(visit):
    who = visit(VIEWER)
    events = [
        {"name": f"event_{k}", "rows": k, "first_ms": 1, "last_ms": 1, "virtual": False}
        | {"title": f"事件 {k}", "description": "", "deprecated": False, "properties": 0}
        for k in range(2_000)
    ]
    properties = [
        {"name": f"p{k}", "p": f"event.p{k}", "kind": "string", "scope": "event", "events": []}
        | {"origin": "sent", "title": "", "description": "", "deprecated": False, "values": None}
        for k in range(1_000)
    ]
    whole = {"events": events, "properties": properties, "tags": [], "cohorts": [], "items": []}
    body = json.dumps(whole)
    who.page.route(
        "**/v1/schema*", lambda route: route.fulfill(body=body, content_type="application/json")
    )
    page = who.open("/data/events")
    page.get_by_text("共 2,000 个事件").wait_for()
    assert page.locator("table tbody tr").count() < 60
    page.get_by_label("搜索事件名、显示名").fill("event_1234")
    page.get_by_role("button", name="事件 1234").wait_for()
    page = who.open("/data/properties")
    page.get_by_text("共 1,000 个属性").wait_for()
    assert page.locator("table tbody tr").count() < 60
    box = page.get_by_role("region", name="属性")
    box.evaluate("(box) => box.scrollTo(0, box.scrollHeight)")
    page.get_by_role("button", name="p999", exact=True).wait_for()
