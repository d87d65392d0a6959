"""Boards built by clicking, kept, and drawn with the API's numbers; the boards of the templates."""

from __future__ import annotations

import re

import pytest

from tests.console.building import answered, choose, pick, soon
from tests.console.site import ANALYST

LOGINS = {"series": [{"e": "login", "measure": "users"}]}
WEEK = {"from": "-7d", "to": "yesterday"}


def post(who, path, body):
    """As the visitor's page would."""
    csrf = who.context.request.get("/v1/auth/me").json()["csrf"]
    answer = who.context.request.post(
        f"{path}?project=bank", data=body, headers={"X-Zuji-CSRF": csrf}
    )
    assert answer.ok, answer.text()
    return answer.json()


def saved_logins(who, name):
    query = {"model": "event", "time": {**WEEK, "grain": "day"}, "body": LOGINS}
    return post(who, "/v1/saved", {"name": name, "query": query, "view": {}})


def add_card(page, kind, name="", text=""):
    """By the dialog of the board."""
    dialog = page.get_by_role("dialog", name="添加卡片")
    if not dialog.is_visible():
        page.get_by_role("button", name="添加卡片").first.click()
    dialog.get_by_text(kind, exact=True).click()
    if text:
        dialog.get_by_label("文字内容").fill(text)
    else:
        dialog.get_by_placeholder("搜索已存分析").fill(name)
        dialog.get_by_text(name, exact=True).click()
    dialog.get_by_role("button", name="添加", exact=True).click()
    dialog.wait_for(state="hidden")


def drawn(page, count):
    """Waits until all cards show what they have."""
    page.locator(".board-card").nth(count - 1).wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.board-card')].every((one) =>"
        " one.getAttribute('aria-busy') !== 'true' && !one.querySelector('.el-skeleton'))"
    )


def test_a_board_is_built_by_clicking(visit, site):
    who = visit(ANALYST)
    page = who.open("/boards")
    saved = saved_logins(who, "看板用登录人数")
    page.get_by_role("button", name="新建看板").first.click()
    page.get_by_role("button", name=re.compile("空白看板")).click()
    prompt = page.get_by_role("dialog", name="看板名称")
    prompt.get_by_role("textbox").fill("亲手搭的看板")
    prompt.get_by_role("button", name="确定").click()
    page.get_by_role("heading", name="亲手搭的看板").wait_for()

    add_card(page, "分析图表", saved["name"])
    add_card(page, "单个数字", saved["name"])
    add_card(page, "文字", text="# 说明\n登录情况")
    drawn(page, 3)

    # By the keyboard: wider by two columns; by the pointer: the figure one column to the right.
    first = page.get_by_role("button", name=f"移动卡片：{saved['name']}").first
    first.press("Shift+ArrowLeft")
    first.press("Shift+ArrowLeft")
    figure = page.locator(".board-card.figure")
    before = figure.bounding_box()
    handle = figure.get_by_role("button", name=re.compile("移动卡片"))
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 5, steps=5)
    page.mouse.up()
    assert figure.bounding_box()["x"] > before["x"] + 100

    page.get_by_role("button", name="各卡片自己的日期").click()
    page.get_by_role("button", name=re.compile("^时间范围")).click()
    page.get_by_role("button", name="过去 7 天", exact=True).click()
    page.get_by_role("button", name="筛选", exact=True).click()
    shared = page.get_by_role("region", name="看板的日期与筛选")
    for place, text in ((0, "渠道"), (1, "app")):
        shared.locator("button.pick").nth(place).click()
        search = page.locator("input[aria-autocomplete=list]").locator("visible=true")
        search.fill(text)
        page.locator(".list [role=option]").locator("visible=true").first.wait_for()
        search.press("Enter")
        page.keyboard.press("Escape")
        search.wait_for(state="hidden")

    page.get_by_role("button", name="保存", exact=True).click()
    page.get_by_role("button", name="编辑", exact=True).wait_for()
    page.reload()
    who.settle()
    drawn(page, 3)
    page.get_by_role("heading", name="说明").wait_for()
    (listed,) = [
        one
        for one in site.ask("/v1/boards?project=bank")["boards"]
        if one["name"] == "亲手搭的看板"
    ]
    board = site.ask(f"/v1/boards/{listed['id']}?project=bank")
    kinds = {card["kind"]: card for card in board["cards"]}
    assert set(kinds) == {"analysis", "figure", "text"}
    assert kinds["analysis"]["w"] == 4
    assert kinds["figure"]["x"] > 4
    assert board["time"] == {"from": "-7d", "to": "yesterday"}
    assert "channel" in str(board["where"])
    (row,) = site.query(
        {
            "model": "event",
            "time": {**board["time"], "grain": "all"},
            "where": board["where"],
            "body": LOGINS,
        }
    )
    (whole,) = site.query(
        {"model": "event", "time": {**board["time"], "grain": "all"}, "body": LOGINS}
    )
    assert 0 < row["value"] < whole["value"]
    soon(page, lambda: _has(page.locator(".board-card.figure .value"), f"{int(row['value']):,}"))


def _has(locator, text):
    assert locator.inner_text() == text


def figures(site, board):
    """What the API says that each figure of a board is: {title: value}."""
    found = {}
    for card in board["cards"]:
        if card["kind"] == "figure":
            rows = site.query(card["query"])
            current = [row for row in rows if row.get("range", "current") == "current"]
            found[card["view"]["title"]] = current[0]["value"]
    return found


@pytest.mark.parametrize("template", ["overview", "banking"])
def test_a_template_is_drawn_with_the_numbers_of_the_api(visit, site, template):
    who = visit(ANALYST)
    who.open("/boards")
    made = post(who, f"/v1/board-templates/{template}", {"language": "zh"})
    board = site.ask(f"/v1/boards/{made['id']}?project=bank")
    page = who.open(f"/boards/view?id={made['id']}")
    drawn(page, len(board["cards"]))
    wrong = [card.inner_text() for card in page.locator(".board-card .wrong").all()]
    assert not wrong, wrong
    pictures = page.locator(".board-card.analysis .picture")
    assert pictures.count() == sum(card["kind"] == "analysis" for card in board["cards"])
    expected = figures(site, board)
    assert len(expected) >= 3
    for title, value in expected.items():
        card = page.locator(".board-card.figure").filter(has=page.get_by_text(title, exact=True))
        shown = card.locator(".value").inner_text().replace(",", "")
        assert float(shown) == pytest.approx(value, abs=0.005), title
    for card in board["cards"]:
        if card["kind"] != "analysis":
            continue
        saved = board["saved"][card["saved"]]
        if saved["query"]["model"] != "funnel":
            continue
        rows = site.query(saved["query"])
        place = page.locator(".board-card.analysis").filter(
            has=page.get_by_text(saved["name"], exact=True)
        )
        text = place.inner_text()
        for row in rows:
            assert f"{int(row['count']):,}" in text, (saved["name"], row["step"])


def test_an_analysis_goes_to_a_new_board_and_to_one_there_is(visit, site):
    who = visit(ANALYST)
    page = who.open("/analysis/event")
    pick(page, 0, "login")
    choose(page, "指标", "用户数")
    answered(page, LOGINS)
    page.get_by_role("button", name="添加到看板").click()
    dialog = page.get_by_role("dialog", name="添加到看板")
    which = dialog.get_by_label("看板", exact=True)
    which.select_option(label="新建看板…")
    dialog.get_by_label("看板名称").fill("由分析而来")
    dialog.get_by_label("卡片标题").fill("每日登录")
    dialog.get_by_role("button", name="添加", exact=True).click()
    dialog.get_by_role("button", name="打开看板").click()
    page.get_by_role("heading", name="由分析而来").wait_for()
    drawn(page, 1)

    saved = saved_logins(who, "登录人数，已存")
    page = who.open("/saved")
    page.get_by_role("button", name=f"更多操作: {saved['name']}").click()
    page.get_by_role("menuitem", name="添加到看板").click()
    dialog = page.get_by_role("dialog", name="添加到看板")
    soon(page, lambda: dialog.get_by_label("看板", exact=True).select_option(label="由分析而来"))
    dialog.get_by_role("button", name="添加", exact=True).click()
    dialog.get_by_text("已添加到看板").wait_for()
    (listed,) = [
        one for one in site.ask("/v1/boards?project=bank")["boards"] if one["name"] == "由分析而来"
    ]
    cards = site.ask(f"/v1/boards/{listed['id']}?project=bank")["cards"]
    assert [(card["title"], card.get("saved")) for card in cards] == [
        ("每日登录", None),
        (saved["name"], saved["id"]),
    ]
    assert cards[0]["query"]["body"] == {**cards[0]["query"]["body"], **LOGINS}
    assert (cards[1]["x"], cards[1]["y"]) == (6, 0)
