"""Queries as sentences: what they must name, and a few as they read."""

import re

import pytest

import zuji
from tests.oracle import generate
from tests.oracle.models import MODELS
from tests.oracle.queries import query_of
from zuji.engine.query.analyses import ANALYSES
from zuji.engine.query.parse import parse
from zuji.engine.query.properties_used import event_places, used
from zuji.engine.query.words import _GRAINS, _OPS, LANGUAGES, sentence

TIME = {"from": "2026-10-01", "to": "2026-10-31", "tz": "Asia/Shanghai"}


@pytest.mark.parametrize("model", ANALYSES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_names_every_event_and_property(model, language):
    if model not in MODELS:
        pytest.skip("no oracle yet")
    for project in range(40):
        case = generate.project(project)
        for k in range(5):
            query = parse(query_of(case, k, model))
            text = sentence(query, language, "UTC")
            for _, names, _ in event_places(query):
                for name in names or ():
                    assert name in text, (text, name)
            for p in used(query):
                name = p.partition(".")[2]
                assert name.startswith("$") or name in text, (text, p)
            assert re.search(r"[.。]$", text)
            if language == "zh":
                assert not re.search(
                    r"\b(users|events|the|where)\b", re.sub("「.*?」", "", text)
                ), text


@pytest.mark.parametrize(
    ("query", "english", "chinese"),
    [
        (
            {
                "model": "event",
                "time": TIME,
                "where": {"p": "event.channel", "op": "in", "v": ["app", "mini"]},
                "audience": {"did": {"e": "login", "count": {"op": "gte", "v": 3}}},
                "by": [{"p": "user.city"}],
                "compare": {"shift": "-1M"},
                "body": {"series": [{"e": "pay", "measure": {"sum": "event.amount"}}]},
            },
            "Of the users who did “login” at least 3 times: the sum of “amount” of “pay”; "
            "counting only events where “channel” is one of “app” or “mini”; by the user's “city” "
            "(the 20 greatest groups and the rest); from 2026-10-01 to 2026-10-31 (Asia/Shanghai), "
            "day by day; compared with 1 month before.",
            "仅限做过「login」至少3次的用户：「pay」的「amount」之和；"
            "只看「channel」属于「app」或「mini」的事件；按用户的「city」分组（前20组及其余）；"
            "从2026-10-01到2026-10-31（Asia/Shanghai），按天；"
            "并与1个月前对比。",
        ),
        (
            {
                "model": "funnel",
                "time": {**TIME, "grain": "all"},
                "body": {
                    "steps": [
                        {"e": "view"},
                        {"e": "apply", "where": {"p": "event.amount", "op": "gte", "v": 1000}},
                        {"e": ["ok", "ok2"]},
                    ],
                    "hold": ["event.product"],
                    "exclude": [{"e": "cancel", "between": [1, 3]}],
                },
            },
            "How many users come through “view” → “apply” where “amount” is at least 1,000 → “ok” "
            "or “ok2” within 7 days, in this order, with one value of “product” along the way, "
            "without “cancel” between steps 1 and 3; from 2026-10-01 to 2026-10-31 "
            "(Asia/Shanghai), as a whole.",
            "在7天内依次完成「view」 → 「apply」（满足「amount」不小于1000） → "
            "「ok」或「ok2」的用户数，"
            "各步「product」相同，第1步到第3步之间没有「cancel」；从2026-10-01到2026-10-31"
            "（Asia/Shanghai），整段时间。",
        ),
        (
            {
                "model": "retention",
                "time": TIME,
                "body": {"start": {"e": "open"}, "return": {"e": "*"}, "periods": 1},
            },
            "Of the users who did “open” (for the first time in the range), how many did any event "
            "in each later period, up to 1 day on; from 2026-10-01 to 2026-10-31 (Asia/Shanghai), "
            "day by day.",
            "做了「open」（期间首次）的用户中，此后1天内每一期做了任意事件的人数；"
            "从2026-10-01到2026-10-31（Asia/Shanghai），按天。",
        ),
    ],
)
def test_how_they_read(query, english, chinese):
    parsed = parse(query)
    assert sentence(parsed, "en", "Asia/Shanghai") == english
    assert sentence(parsed, "zh", "Asia/Shanghai") == chinese


def test_explain_gives_the_sentence_in_both_languages(tmp_path):
    with zuji.open(tmp_path / "d") as engine:
        query = {"model": "event", "time": TIME, "body": {"series": [{"e": "pay"}]}}
        found = engine.explain(query)["sentence"]
    assert found["en"].startswith("The number of times of “pay”")
    assert found["zh"].startswith("「pay」的次数")


def test_every_word_has_both_languages():
    from zuji.engine.query.filter_ast import OPS

    assert set(_OPS) == set(OPS)
    assert {"hour", "day", "week", "month", "quarter", "year", "all"} == set(_GRAINS)
