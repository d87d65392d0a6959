"""Every example of docs/query.md is run and compared; every word of the language is on the page."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from zuji.engine import calendars
from zuji.engine.engine import create_project, open_project
from zuji.engine.errors import InvalidQuery
from zuji.engine.query import model
from zuji.engine.query.audience import COUNT_OPS
from zuji.engine.query.durations import UNIT_MS
from zuji.engine.query.filter_ast import OPS
from zuji.engine.query.measures import EVENT_AGGREGATES, EVENT_WORDS, FUNNEL_WORDS
from zuji.engine.query.parse import parse
from zuji.engine.query.schema import json_schema

TEXT = (Path(__file__).parents[2] / "docs/query.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (BLOCKS[i][1], BLOCKS[i + 1][1]) for i, (kind, _) in enumerate(BLOCKS) if kind == "query"
]
ERRORS = [text for kind, text in BLOCKS if kind == "error"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    events = []
    for line in next(text for kind, text in BLOCKS if kind == "events").splitlines():
        user, event, at, properties = line.split(None, 3)
        events.append(
            {"user_id": user, "event": event, "time": at, "properties": json.loads(properties)}
        )
    path = tmp_path_factory.mktemp("docs")
    create_project(path, "default", tz="Asia/Shanghai")
    clock = calendars.parse_instant("2026-11-01T00:00:00+08:00")
    opened = open_project(path, "default", clock=lambda: clock)
    opened.append(events)
    yield opened
    opened.close()


@pytest.mark.parametrize(("query", "answer"), EXAMPLES)
def test_examples_give_the_answers_they_show(engine, query, answer):
    result = engine.query(query)
    shown = list(csv.reader(io.StringIO(answer)))
    assert result.names == shown[0]
    assert [[cell(value) for value in row] for row in result.rows] == shown[1:]
    assert engine.query(result.query).rows == result.rows


def cell(value):
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{round(value, 4):.10g}" if isinstance(value, int | float) else value


@pytest.mark.parametrize("text", ERRORS)
def test_errors_say_what_the_page_says(text):
    query, path, said = text.splitlines()
    with pytest.raises(InvalidQuery) as caught:
        parse(query)
    assert caught.value.path == path
    assert said in caught.value.args[0]


def test_json_blocks_are_json():
    for kind, text in BLOCKS:
        if kind == "json":
            json.loads(text if text.lstrip().startswith("{") else "{" + text + "}")
    assert len(EXAMPLES) >= 6


def test_every_word_of_the_language_stands_on_the_page():
    schema = json_schema()["$defs"]
    words = {
        *OPS,
        *COUNT_OPS,
        *UNIT_MS,
        *EVENT_WORDS,
        *EVENT_AGGREGATES,
        *FUNNEL_WORDS,
        *model.MODELS,
    }
    for name, definition in schema.items():
        if name in vars(model):
            words |= set(definition.get("properties", {}))
            for field in definition.get("properties", {}).values():
                words |= {word for word in field.get("enum", ()) if isinstance(word, str)}
    for pick in (model.EventPick, model.FunnelPick, model.RetentionPick):
        words |= set(pick.__struct_encode_fields__)
    missing = {word for word in words if not re.search(rf"\b{re.escape(word)}\b", TEXT)}
    assert not missing
