"""Keeping what was asked: saved, reloaded, linked, put on a board, made a cohort, exported."""

from __future__ import annotations

import csv
import io

import openpyxl
import pytest

from tests.console.building import answered, choose, pick, table
from tests.console.site import ANALYST, VIEWER

LOGINS = {"series": [{"e": "login", "measure": "users"}]}


@pytest.fixture
def who(visit):
    """An analyst who looks at how many logged in each day."""
    who = visit(ANALYST)
    page = who.open("/analysis/event")
    pick(page, 0, "login")
    choose(page, "指标", "用户数")
    answered(page, LOGINS)
    return who


def save(page, name):
    page.get_by_role("button", name="保存", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("名称").fill(name)
    dialog.get_by_role("button", name="保存", exact=True).click()
    page.get_by_role("heading", name=name).wait_for()


def test_an_analysis_is_saved_and_found_again(who, visit):
    page = who.page
    before = table(page)
    save(page, "每日登录人数")
    page.reload()
    who.settle()
    page.get_by_role("heading", name="每日登录人数").wait_for()
    page.locator("table.result tbody tr").first.wait_for()
    assert table(page) == before

    other = visit(VIEWER)
    listed = other.open("/saved")
    listed.get_by_role("link", name="每日登录人数").click()
    listed.locator("table.result tbody tr").first.wait_for()
    assert table(listed) == before


def test_a_link_shows_the_same_to_others(who, visit):
    before = table(who.page)
    page = visit(VIEWER).page
    page.goto(who.page.url)
    page.locator("table.result tbody tr").first.wait_for()
    assert table(page) == before


def test_undo_takes_back_a_step(who):
    page = who.page
    before = table(page)
    pick(page, 0, "buy")
    answered(page, {"series": [{"e": "buy"}]})
    page.get_by_role("button", name="撤销").click()
    answered(page, LOGINS)
    assert table(page) == before


def test_a_cell_becomes_a_cohort(who, site):
    page = who.page
    cell = page.locator("table.result button.users-link").first
    number = int(cell.inner_text().replace(",", ""))
    cell.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(f"{number:,} 个用户").wait_for()
    dialog.get_by_role("button", name="保存为分群").click()
    dialog.get_by_label("分群名称").fill("登录过")
    dialog.get_by_role("button", name="保存", exact=True).click()
    page.get_by_text("已保存分群").wait_for()
    (cohort,) = [
        one for one in site.ask("/v1/cohorts?project=bank")["cohorts"] if one["name"] == "登录过"
    ]
    assert cohort["users"] == number
    who.open("/cohorts")
    page.get_by_role("link", name="登录过").first.wait_for()


def exported(page, what):
    page.get_by_role("button", name="导出", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=what, exact=True).click()
    with open(download.value.path(), "rb") as file:
        return file.read()


def test_an_answer_is_exported_as_spreadsheets(who, site):
    page = who.page
    query = answered(page, LOGINS)
    expected = site.ask("/v1/query", query)
    names = [column["name"] for column in expected["columns"]]
    data = exported(page, "CSV")
    assert data.startswith(b"\xef\xbb\xbf")
    head, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig")))
    assert head == names
    at = names.index("value")
    values = [row[at] for row in expected["rows"]]
    assert [float(row[at]) for row in rows] == values
    sheet = openpyxl.load_workbook(io.BytesIO(exported(page, "Excel"))).active
    head, *rows = sheet.iter_rows(values_only=True)
    assert list(head) == names
    assert [row[at] for row in rows] == values


def test_a_picture_is_exported(who):
    assert exported(who.page, "PNG").startswith(b"\x89PNG")


def test_a_board_shows_what_was_saved(visit, site):
    who = visit(ANALYST)
    who.open("/boards")
    me = who.context.request.get("/v1/auth/me").json()

    def post(path, body):
        headers = {"X-Zuji-CSRF": me["csrf"]}
        answer = who.context.request.post(f"{path}?project=bank", data=body, headers=headers)
        assert answer.ok, answer.text()
        return answer.json()

    query = {
        "model": "event",
        "time": {"from": "-7d", "to": "today", "grain": "day"},
        "body": {"series": [{"e": "login", "measure": "users"}]},
    }
    cards = [
        {"id": "a", "kind": "analysis", "x": 0, "y": 0, "w": 6, "h": 7, "query": query}
        | {"view": {"title": "登录趋势"}},
        {"id": "b", "kind": "figure", "x": 6, "y": 0, "w": 3, "h": 3, "query": query}
        | {"view": {"title": "登录人数"}},
        {"id": "c", "kind": "text", "x": 0, "y": 7, "w": 12, "h": 2, "text": "# 说明"},
    ]
    board = post("/v1/boards", {"name": "经营概览", "cards": cards})
    page = who.open(f"/boards/{board['id']}")
    page.get_by_text("登录趋势").first.wait_for()
    page.locator("canvas").first.wait_for()
    (row,) = site.query({**query, "time": {**query["time"], "grain": "all"}})
    page.get_by_text(f"{int(row['value']):,}", exact=True).first.wait_for()
    page.get_by_role("heading", name="说明").wait_for()
    listed = visit(VIEWER).open("/boards")
    listed.get_by_role("link", name="经营概览").first.wait_for()
