"""Building queries by clicking, and reading what the page asked and showed."""

from __future__ import annotations

import base64
import json
import re
import zlib

QUESTION, ANSWER = "分析条件", "分析结果"
EDITED_MS = 600
"""The page asks 250 ms after an edit; until then the answer before it stands there, not busy."""


def pick(page, place, name):
    """Chooses an event or a property by searching, in the picker at this place of the question."""
    question = page.get_by_role("region", name=QUESTION)
    question.locator("button.pick").filter(has_not_text="筛选条件").nth(place).click()
    box = page.locator("input[aria-autocomplete=list]").locator("visible=true")
    box.fill(name)
    page.locator(".list [role=option]").locator("visible=true").first.wait_for()
    box.press("Enter")
    box.wait_for(state="hidden")


def choose(page, label, option):
    """Takes an option of a select by its label."""
    question = page.get_by_role("region", name=QUESTION)
    box = page.get_by_role("combobox", name=label)
    question.locator(".el-select__wrapper", has=box).first.click()
    page.get_by_role("option", name=option, exact=True).locator("visible=true").first.click()


def asked(page):
    """The query in the page's address."""
    found = re.search(r"#q=([\w-]+)", page.url)
    assert found, page.url
    text = found[1] + "=" * (-len(found[1]) % 4)
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(text)))["q"]


def answered(page, expected):
    """The query that was asked, once its body has all of ``expected`` and its answer is shown."""
    return told(page, {"body": expected})


def told(page, expected):
    """As :func:`answered`, of the whole query: its time, comparison and the like."""
    region = page.get_by_role("region", name=ANSWER)
    for _ in range(100):
        if "#q=" in page.url and has(asked(page), expected):
            break
        page.wait_for_timeout(100)
    else:
        shown = json.dumps(asked(page)) if "#q=" in page.url else "nothing was asked"
        raise AssertionError(f"asked {shown}, expected {json.dumps(expected)}")
    page.wait_for_timeout(EDITED_MS)
    page.locator(f"section[aria-label='{ANSWER}'][aria-busy='false']").wait_for()
    region.locator("table.result tbody tr").first.wait_for()
    return asked(page)


def open_more(page):
    """Unfolds what is rarely set."""
    page.locator("details.more:not([open]) > summary", has_text="更多设置").first.click()


def take(page, button, name):
    """Chooses in the searchable list that this button opens."""
    button.click()
    box = page.locator("input[aria-autocomplete=list]").locator("visible=true")
    box.fill(name)
    page.locator(".list [role=option]").locator("visible=true").first.wait_for()
    box.press("Enter")
    page.wait_for_timeout(50)
    if box.count() and box.is_visible():  # several may be chosen: it stays open
        box.press("Escape")
    box.wait_for(state="hidden")


def select(place, label, option):
    """Takes an option of a select by its label, in a page or a part of it."""
    page = getattr(place, "page", place)
    box = page.get_by_role("combobox", name=label)
    place.locator(".el-select__wrapper", has=box).locator("visible=true").first.click()
    page.get_by_role("option", name=option, exact=True).locator("visible=true").first.click()


def number(box, value):
    """Types into a field of numbers or edges, and leaves it."""
    box.fill(str(value))
    box.press("Tab")


def condition(page, place, kind):
    """Adds a condition to the ``place``-th builder of audiences in sight; its new leaf."""
    adders = page.get_by_role("button", name="添加条件").locator("visible=true")
    adders.nth(place).click()
    page.get_by_role("menuitem", name=kind, exact=True).locator("visible=true").first.click()
    return page.locator(".audience-leaf").locator("visible=true")


def has(found, expected):
    """Whether all that is expected is in it, at its place."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            name in found and has(found[name], value) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(map(has, found, expected))
        )
    return found == expected


def table(page):
    """Texts of the rows of the table below the picture."""
    rows = page.locator("table.result tbody tr").all()
    return [[cell.strip() for cell in row.locator("td").all_inner_texts()] for row in rows]


def compare(shown, answer):
    """Every whole number of each row of the API's answer stands in the same row of the page;
    shares and lengths of time are shown in other units.
    """
    names = [
        (column["name"], "" if column["unit"] in ("ms", "ratio") else column["type"])
        for column in answer["columns"]
    ]
    wrong, numbers = [], 0
    for place, (texts, row) in enumerate(zip(shown, answer["rows"], strict=False)):
        for (name, kind), value in zip(names, row, strict=True):
            whole = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not whole or value != int(value) or kind not in ("int64", "float64"):
                continue
            numbers += 1
            if f"{int(value):,}" not in texts and str(int(value)) not in " ".join(texts):
                wrong.append(f"row {place}: {name} is {value}, shown {texts}")
    assert numbers, "the answer has no numbers"
    assert not wrong, "\n".join(wrong[:5])


def soon(page, check):
    """Runs a check until it holds, five seconds long: a page draws when it can."""
    for _ in range(10):
        try:
            return check()
        except AssertionError:
            page.wait_for_timeout(500)
    return check()
