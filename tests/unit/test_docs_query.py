"""Every example of docs/query.md is run and compared; every word of the language is on the page."""

import csv
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from zuji.engine import calendars
from zuji.engine.engine import create_project, open_project
from zuji.engine.errors import InvalidQuery
from zuji.engine.query import model, schema
from zuji.engine.query.analyses import ANALYSES
from zuji.engine.query.analyses.funnel_measures import FUNNEL_WORDS
from zuji.engine.query.audience import COUNT_OPS
from zuji.engine.query.durations import UNIT_MS
from zuji.engine.query.filter_ast import OPS
from zuji.engine.query.measures import EVENT_AGGREGATES, EVENT_WORDS
from zuji.engine.query.parse import parse

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    page.relative_to(DOCS).as_posix(): page.read_text(encoding="utf-8")
    for page in [DOCS / "query.md", *sorted((DOCS / "models").glob("*.md"))]
}
BLOCKS = {
    name: re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for name, text in PAGES.items()
}


def examples():
    """(page, query, answer): a block ``query`` and the one after it."""
    for name, blocks in BLOCKS.items():
        for (kind, text), (_, answer) in pairwise(blocks):
            if kind == "query":
                yield name, text, answer


def errors():
    """(page, query and message) of each block ``error``."""
    for name, blocks in BLOCKS.items():
        for kind, text in blocks:
            if kind == "error":
                yield name, text


ERRORS = list(errors())
EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """page → engine with the events of its block ``events``; those of query.md when it has none."""
    found = {}
    for name, blocks in BLOCKS.items():
        text = next((text for kind, text in blocks if kind == "events"), None)
        found[name] = found["query.md"] if text is None else _engine(tmp_path_factory, text)
    yield found
    for one in set(found.values()):
        one.close()


def _engine(tmp_path_factory, text):
    events = []
    for line in text.splitlines():
        user, event, at, properties = line.split(None, 3)
        record = {"user_id": user, "time": at, "properties": json.loads(properties)}
        kind = "type" if event.startswith("profile_") else "event"
        events.append({**record, kind: event})
    path = tmp_path_factory.mktemp("docs")
    create_project(path, "default", tz="Asia/Shanghai")
    clock = calendars.parse_instant("2026-11-01T00:00:00+08:00")
    opened = open_project(path, "default", clock=lambda: clock)
    opened.append(events)
    return opened


@pytest.mark.parametrize(("page", "query", "answer"), EXAMPLES)
def test_examples_give_the_answers_they_show(engines, page, query, answer):
    engine = engines[page]
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


@pytest.mark.parametrize(("page", "text"), ERRORS)
def test_errors_say_what_the_page_says(page, text):
    query, path, said = text.splitlines()
    with pytest.raises(InvalidQuery) as caught:
        parse(query)
    assert caught.value.path == path
    assert said in caught.value.args[0]


def test_json_blocks_are_json():
    for blocks in BLOCKS.values():
        for kind, text in blocks:
            if kind == "json":
                json.loads(text if text.lstrip().startswith("{") else "{" + text + "}")
    assert len(EXAMPLES) >= 6


def test_every_word_of_the_language_stands_on_the_page():
    words = {*OPS, *COUNT_OPS, *UNIT_MS, *EVENT_WORDS, *EVENT_AGGREGATES, *FUNNEL_WORDS, *ANALYSES}
    for struct in vars(model).values():
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
            words |= words_of(struct)
    assert not missing(words, PAGES["query.md"])


@pytest.mark.parametrize("name", ANALYSES)
def test_every_word_of_a_model_stands_on_its_page(name):
    """Its own page ``models/NAME.md`` together with query.md."""
    words = {name} | words_of(ANALYSES[name].query) | words_of(ANALYSES[name].pick)
    for struct in schema.structs(ANALYSES[name].query).values():
        words |= words_of(struct)
    assert not missing(words, PAGES["query.md"] + PAGES.get(f"models/{name}.md", ""))


def words_of(struct):
    """Names of the fields of a struct, and the words that they may hold."""
    found = set(struct.__struct_encode_fields__)
    for field in msgspec.structs.fields(struct):
        for part in schema.parts(msgspec.inspect.type_info(field.type)):
            if isinstance(part, msgspec.inspect.LiteralType):
                found |= {value for value in part.values if isinstance(value, str)}
    return found


def missing(words, text):
    return {word for word in words if not re.search(rf"\b{re.escape(word)}\b", text)}
