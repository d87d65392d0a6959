"""Signing in by the form: right and wrong passwords, lock-out, the cookie, roles, ending it."""

from __future__ import annotations

import re

from tests.console.site import ADMINISTRATOR, ANALYST, PASSWORD, VIEWER

REFUSED = "status of 401"
LOCKED = "status of 429"


def fill(page, login, password):
    page.get_by_label("账号", exact=True).fill(login)
    page.get_by_label("密码", exact=True).fill(password)
    page.get_by_role("button", name="登录", exact=True).click()


def test_a_page_asks_to_sign_in_and_then_is_shown(visit):
    who = visit()
    page = who.open("/data/events")
    assert "/sign-in" in page.url
    fill(page, ADMINISTRATOR, PASSWORD)
    page.wait_for_url(re.compile(r"/data/events"))
    page.get_by_role("heading", name="事件", exact=True).wait_for()
    (cookie,) = who.context.cookies()
    assert cookie["name"] == "__Host-zuji"
    assert cookie["httpOnly"]
    assert cookie["secure"]
    assert cookie["sameSite"] == "Strict"
    assert page.evaluate("() => document.cookie") == ""
    who.expected += [REFUSED]


def test_a_wrong_password_is_told_in_words_and_five_lock_out(visit):
    who = visit()
    who.expected += [REFUSED, LOCKED]
    page = who.open("/sign-in")
    for _ in range(5):
        fill(page, "nobody-here", "not the password")
        page.get_by_role("alert").get_by_text("账号或密码不正确").wait_for()
        who.settle()
    fill(page, "nobody-here", "not the password")
    page.get_by_role("alert").get_by_text("尝试次数过多").wait_for()
    assert not who.context.cookies()


def test_signing_out_ends_the_session(visit):
    who = visit(ANALYST)
    page = who.open("/users")
    page.get_by_role("button", name="账号").click()
    page.get_by_role("menuitem", name="退出登录", exact=True).click()
    page.wait_for_url(re.compile("/sign-in"))
    who.expected += [REFUSED]
    who.open("/users")
    assert "/sign-in" in page.url


def test_everywhere_ends_other_browsers_too(visit):
    one, other = visit(VIEWER), visit(VIEWER)
    page = one.open("/settings/me")
    page.get_by_role("button", name="退出所有设备").click()
    page.get_by_role("dialog").get_by_role("button", name="退出所有设备").click()
    page.wait_for_url(re.compile("/sign-in"))
    other.expected += [REFUSED]
    other.open("/users")
    assert "/sign-in" in other.page.url


def navigation(page):
    return page.get_by_role("navigation", name="导航").get_by_role("link").all_inner_texts()


def test_each_role_sees_what_it_may(visit):
    seen = {}
    for login in (ADMINISTRATOR, ANALYST, VIEWER):
        page = visit(login).open("/settings/me")
        seen[login] = set(navigation(page))
    only = {"项目", "密钥", "账号"}
    assert only <= seen[ADMINISTRATOR]
    assert not only & seen[ANALYST]
    assert seen[ADMINISTRATOR] - seen[ANALYST] == only
    assert seen[VIEWER] == seen[ANALYST]


def test_a_viewer_changes_nothing(visit):
    page = visit(VIEWER).open("/data/plan")
    page.get_by_text("你的角色只能查看").wait_for()
    assert page.get_by_role("button", name="发布新版本").count() == 0
    page = visit(VIEWER).open("/users/timeline?user_id=c0001")
    page.get_by_role("heading", name="行为时间线").wait_for()
    assert page.get_by_role("button", name="删除该用户").count() == 0
    assert page.get_by_role("button", name="导出全部数据").count() == 0


def test_the_server_refuses_what_the_console_does_not_show(visit):
    who = visit(VIEWER)
    who.open("/users")
    me = who.context.request.get("/v1/auth/me").json()
    said = {"people": [{"user_id": "c0001"}]}
    headers = {"X-Zuji-CSRF": me["csrf"]}
    answer = who.context.request.post("/v1/erasures?project=bank", data=said, headers=headers)
    assert answer.status == 403
    without = who.context.request.post("/v1/auth/sign-out-everywhere")
    assert without.status == 403
