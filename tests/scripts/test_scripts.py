"""Every ``.test`` file of this folder in every state, and the runner itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scripts import script
from tests.scripts.run import STATES, Run
from tests.scripts.script import BadScript

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.test"))
DOCS = FOLDER.parents[1] / "docs"
STORIES = re.findall(
    r"^### ([^\n]+)\n(?:(?!^### ).)*?^```story\n(.*?)^```$",
    (DOCS / "identity.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
TITLES = [title for title, _ in STORIES]
LOAD = """\
load
  user | event | time             | n | tags
  ann  | view  | 2026-10-01 09:00 | 1 | ["a|b"]
  ann  | pay   | 2026-10-01 10:00 | - | -
"""
COUNT = """\
query
  {"model": "event", "time": {"from": "2026-10-01", "to": "2026-10-02"},
   "body": {"series": [{"e": "view"}, {"e": "pay", "measure": "users"}]}}
"""


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_answers_are_as_the_script_says(path, state, tmp_path):
    wrong = Run(script.read(path), state, tmp_path / "p").run()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("number", range(len(STORIES)), ids=TITLES)
def test_the_stories_of_the_page_about_identity(number, state, tmp_path):
    blocks = script.blocks(STORIES[number][1], TITLES[number])
    wrong = Run(blocks, state, tmp_path / "p").run()
    assert not wrong, "\n".join(wrong)


def test_every_story_of_the_page_is_run():
    told = (DOCS / "identity.md").read_text(encoding="utf-8").partition("\n## Stories\n")[2]
    told = told.partition("\n## ")[0]
    assert len(STORIES) == told.count("\n### ") == 6


def wrong_of(text, tmp_path, state="appended"):
    path = tmp_path / "x.test"
    path.write_text(text, encoding="utf-8")
    return Run(script.read(path), state, tmp_path / "p").run()


@pytest.mark.parametrize("state", STATES)
def test_a_table_that_holds_says_nothing(tmp_path, state):
    expect = "expect\n  series | bucket     | value\n  A | 2026-10-01 | 1\n  A | 2026-10-02 | 0\n"
    expect += "  B | 2026-10-01 | 1\n  B | 2026-10-02 | 0\n"
    users = 'expect users {"series": "B", "bucket": "2026-10-01"}\n  ann\n'
    assert not wrong_of(LOAD + COUNT + expect + users, tmp_path, state)


@pytest.mark.parametrize(
    "expect",
    [
        "expect\n  series | value\n  A | 1\n  A | 0\n  B | 1\n",
        "expect\n  series | value\n  A | 1\n  A | 0\n  B | 1\n  B | 1\n",
        "expect\n  series | value\n  A | 1\n  A | 0\n  B | 1\n  B | -\n",
        "expect\n  series | value\n  A | 0\n  A | 1\n  B | 1\n  B | 0\n",
        "expect\n  series | number\n  A | 1\n",
        "expect some\n  series | value\n  A | 2\n",
        "expect some\n  series | value\n  B | 1\n  A | 1\n",
        'expect users {"series": "B", "bucket": "2026-10-01"}\n  bob\n',
        'expect users {"series": "B", "bucket": "2026-10-02"}\n  ann\n',
        'expect users {"series": "C"}\n  ann\n',
        "expect columns\n  series, value\n",
        "expect warning\n  nobody has seen it\n",
        "expect error invalid_query\n",
    ],
)
def test_what_does_not_hold_is_said(tmp_path, expect):
    assert len(wrong_of(LOAD + COUNT + expect, tmp_path)) == 1


def test_an_error_nobody_expected_is_said(tmp_path):
    query = 'query\n  {"model": "event", "body": {"series": []}}\n'
    assert len(wrong_of(query + "expect\n  value\n  1\n", tmp_path)) == 1


def test_an_error_that_was_expected_is_fine(tmp_path):
    query = 'query\n  {"model": "event", "body": {"series": []}}\n'
    assert not wrong_of(query + "expect error invalid_query at $.body.series\n", tmp_path)


@pytest.mark.parametrize(
    "expect",
    [
        "expect error invalid_query at $.body.series[0]\n",
        "expect error corruption\n",
        "expect error invalid_query\n  say something else\n",
    ],
)
def test_another_error_is_said(tmp_path, expect):
    query = 'query\n  {"model": "event", "body": {"series": []}}\n'
    assert len(wrong_of(query + expect, tmp_path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOAD + COUNT,
        "question\n",
        "  indented\n",
        "expect\n  a\n  1\n",
        LOAD + COUNT + "expect that\n  a\n",
        LOAD + COUNT + "expect\n  a | b\n  1\n",
        LOAD + COUNT + 'expect\n  a\n  "open\n',
        "load refused=1\n" + LOAD.removeprefix("load\n") + COUNT + "expect some\n  value\n  1\n",
        "project zones=UTC\n" + COUNT + "expect some\n  value\n  0\n",
        "query\n  {\nexpect\n  a\n",
        "project zone=Europe/Berlin\nload\n  user | event | time\n  a | e | 2025-10-26 02:30\n"
        + COUNT
        + "expect some\n  value\n  0\n",
    ],
)
def test_a_file_that_is_written_wrongly_is_refused(tmp_path, text):
    with pytest.raises(BadScript):
        wrong_of(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "given", "same"),
    [
        ("-", None, True),
        ("-", 0, False),
        ("0", None, False),
        ("0.67", 2 / 3, True),
        ("0.66", 2 / 3, False),
        ("1", 1.4, False),
        ("1", 1.0, True),
        ("1.4", 1.4, True),
        ("1.0", 1.4, False),
        ("true", True, True),
        ("1", True, False),
        ("1", "1", True),
        ('"-"', "-", True),
        ('"a | b"', "a | b", True),
        ('["a", 1]', ["a", 1], True),
        ('{"n": [1]}', {"n": [2]}, False),
    ],
)
def test_cells(text, given, same):
    assert script.same(text, given) is same
    if same and not isinstance(given, float):
        assert script.same(script.shown(given), given)
