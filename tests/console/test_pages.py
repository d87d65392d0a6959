"""Every page, in both languages, at both widths and in both appearances (two of these eight looks
in CI): no error on the console, nothing from elsewhere, no breach of the policy, no serious finding
of axe, nothing cut off.
"""

from __future__ import annotations

import pytest

from tests.console.places import PAGES, READY
from tests.console.site import ADMINISTRATOR, ANALYST

LOOKS = {
    f"{language}-{width}{'-dark' if dark else ''}": {
        "language": language,
        "width": width,
        "dark": dark,
    }
    for language in ("zh", "en")
    for width in (1440, 390)
    for dark in (False, True)
}
IN_CI = ("zh-1440", "en-390-dark")
"""The others are opened by ``pytest -m slow tests/console/test_pages.py``."""
AXE = """async () => {
  const found = await axe.run(document, {resultTypes: ['violations']})
  return found.violations.filter((one) => ['serious', 'critical'].includes(one.impact)).map((one) =>
    one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | '))
}"""
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def _looks():
    return [
        pytest.param(name, marks=() if name in IN_CI else pytest.mark.slow, id=name)
        for name in LOOKS
    ]


@pytest.fixture(scope="module", params=_looks())
def reader(request, site, browser, axe):
    """One visitor for all pages of a look."""
    from tests.console.site import Visitor

    reader = Visitor(browser, site, ADMINISTRATOR, axe=axe, **LOOKS[request.param])
    yield reader
    reader.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page(reader, path):
    page = reader.open(path)
    if path in READY:
        page.locator(READY[path]).first.wait_for()
    assert page.title() not in ("", "Zuji")
    wrong = page.evaluate(AXE) + reader.breaches()
    reader.wrong.clear()
    if (over := page.evaluate(WIDE)) > 0:
        wrong.append(f"the page is {over} px wider than the window")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", ["/sign-in", "/password"])
def test_pages_without_the_frame(visit, axe, path):
    who = visit(ADMINISTRATOR if path == "/password" else "", axe=axe)
    page = who.open(path)
    page.locator("form").wait_for()
    wrong = page.evaluate(AXE)
    assert not wrong, "\n".join(wrong)


def test_the_policy_is_strict(visit):
    who = visit(ADMINISTRATOR)
    for path in ("/", "/boards", "/analysis/funnel", "/sign-in"):
        headers = who.context.request.get(path, headers={"Accept": "text/html"}).headers
        policy = dict(
            part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["base-uri"] == "'none'"
        assert policy["object-src"] == "'none'"
        assert policy["img-src"] == "'self' data: blob:"
        assert not any("unsafe" in value for value in policy.values())
        assert headers["x-content-type-options"] == "nosniff"


def test_an_inline_script_does_not_run(visit):
    who = visit(ADMINISTRATOR)
    page = who.open("/users")
    who.expected += ["policy: script-src", "Content Security Policy", "violates the following"]
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.appendChild(s) }"
    )
    assert page.evaluate("() => window.ran") is None
    assert any("policy" in one for one in who.wrong + page.evaluate("() => window.breaches"))


def test_a_page_whose_files_are_gone_says_that_a_new_version_is_here(visit):
    who = visit(ANALYST)
    who.expected += ["status of 404", "dynamically imported module", "Unable to preload"]
    page = who.open("/users")
    page.route("**/assets/QualityPage-*.js", lambda route: route.fulfill(status=404))
    page.route(f"{who.site.url}/", lambda route: route.fulfill(body="<title>another</title>"))
    page.get_by_role("link", name="数据质量").click()
    note = page.get_by_role("alert").filter(has_text="新版本")
    note.wait_for()
    page.unroute_all()
    note.get_by_role("button", name="重新加载").click()
    who.settle()
    page.get_by_role("heading", name="用户查询").wait_for()


def test_the_navigation_of_a_phone_shows_where_one_is(visit):
    who = visit(ANALYST, width=390)
    page = who.open("/settings/me")
    page.get_by_role("button", name="展开或收起导航").click()
    entry = page.get_by_role("dialog", name="导航").locator("[aria-current=page]")
    entry.wait_for()
    page.wait_for_timeout(500)  # the drawer moves in
    box = entry.bounding_box()
    assert 0 < box["y"] <= 900 - box["height"]
