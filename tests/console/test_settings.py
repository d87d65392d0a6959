"""Keys and one-time passwords are shown once, roles come and go, the status has words."""

from __future__ import annotations

import re

from tests.console import bank
from tests.console.site import ADMINISTRATOR, PASSWORD


def test_a_key_is_shown_once_and_works_until_it_is_revoked(visit, site):
    page = visit(ADMINISTRATOR).open("/settings/keys")
    page.get_by_role("button", name="新建密钥").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("备注").fill("手机银行")
    dialog.get_by_role("button", name="创建").click()
    key = page.get_by_test_id("secret").input_value()
    assert key.startswith("zk_w")
    assert bank.send(site.collector, key, [])["accepted"] == 0
    page.get_by_role("button", name="我已保存").click()
    page.get_by_role("cell", name="手机银行").wait_for()
    assert key not in page.content()
    page.get_by_role("button", name=f"吊销 {key.split('_')[2]}").click()
    page.get_by_role("dialog").get_by_role("button", name="吊销").click()
    page.get_by_text("已吊销").first.wait_for()
    page.get_by_role("cell", name="手机银行").wait_for(state="detached")


def test_a_new_account_signs_in_with_its_one_time_password_and_changes_it(visit):
    page = visit(ADMINISTRATOR).open("/settings/accounts")
    page.get_by_role("button", name="新建账号").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("账号", exact=True).fill("zhao")
    dialog.get_by_role("button", name="创建").click()
    once = page.get_by_test_id("secret").input_value()
    page.get_by_role("button", name="我已保存").click()
    page.get_by_role("cell", name=re.compile("^zhao.*待改密码")).wait_for()

    new = visit()
    new.expected += ["status of 401", "status of 403"]
    form = new.open("/sign-in")
    form.get_by_label("账号", exact=True).fill("zhao")
    form.get_by_label("密码", exact=True).fill(once)
    form.get_by_role("button", name="登录", exact=True).click()
    form.get_by_text("首次登录请先修改初始密码").wait_for()
    form.get_by_label("当前密码").fill(once)
    form.get_by_label("新密码", exact=True).fill(PASSWORD)
    form.get_by_label("再次输入新密码").fill(PASSWORD)
    form.get_by_role("button", name="修改密码").click()
    form.wait_for_url(re.compile("/boards"))

    page.get_by_role("button", name="停用 zhao").click()
    page.get_by_role("dialog").get_by_role("button", name="停用").click()
    page.get_by_text("已停用").first.wait_for()
    new.open("/users")
    assert "/sign-in" in form.url


def test_the_status_is_that_of_the_api(visit, site):
    page = visit(ADMINISTRATOR).open("/settings/status")
    page.get_by_text("运行正常").wait_for()
    status = site.ask("/v1/status")
    for name, value in (("用户", status["users"]), ("隔离区", status["rejected"])):
        figure = page.locator("dl > div", has=page.get_by_text(name, exact=True))
        assert figure.locator("dd").inner_text() == f"{value:,}"


def test_the_language_and_the_look_stay(visit):
    who = visit(ADMINISTRATOR)
    page = who.open("/settings/me")
    page.locator("#main").get_by_text("English", exact=True).click()
    page.get_by_role("heading", name="My account").wait_for()
    page.locator("#main").get_by_text("Dark", exact=True).click()
    page.reload()
    page.get_by_role("heading", name="My account").wait_for()
    assert "dark" in page.locator("html").get_attribute("class")
    page.locator("#main").get_by_text("中文", exact=True).click()
    page.get_by_role("heading", name="我的账号").wait_for()
