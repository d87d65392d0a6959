"""A sensitive value, however it is sent, is nowhere afterwards: not in the log, the segments, the
quarantine, the server's database, the live view, the answers, the server's own log lines.

Every file is searched, before and after the flush, byte by byte, and what is compressed is read. A
value that is not sensitive stands beside each secret and must be found by the same search.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re

import lz4.block
import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import zuji
from tests.server.planned import NOW
from zuji.engine.batch.columns import Rejected
from zuji.engine.errors import ZujiError
from zuji.engine.export import read_events, read_profiles
from zuji.server.meta import open_store
from zuji.server.plan.document import decoded
from zuji.server.plan.governor import Governor
from zuji.server.plan.mending import Which
from zuji.server.plan.quality import counted

SECRET = "Zq7secret9Xw2kP4v"
PLAIN = "Hx3plain5Yb8nD6tR"
"""Beside each secret, under a name that is not sensitive."""
REFUSED = ("pin", "PIN", "Pin", "卡号")
TOKENS = ("id_card", "ID_CARD", "straße", "STRASSE")
NAMES = st.sampled_from([*REFUSED, *TOKENS])


def plan_of(mode):
    return decoded(
        json.dumps(
            {
                "mode": mode,
                "events": [{"name": "pay"}, {"name": "come", "properties": ["note"]}],
                "properties": [
                    {"name": "pin", "sensitive": "refuse"},
                    {"name": "卡号", "sensitive": "refuse"},
                    {"name": "id_card", "kind": "string", "sensitive": "tokenise"},
                    {"name": "straße", "sensitive": "tokenise"},
                    {"name": "note", "kind": "string"},
                    {"name": "amount", "kind": "float64"},
                ],
                "user_properties": [
                    {"name": "pin", "sensitive": "refuse"},
                    {"name": "id_card", "sensitive": "tokenise"},
                    {"name": "note"},
                ],
            }
        )
    )


@st.composite
def hidden(draw):
    """A property that has the secret: (name, value)."""
    name = draw(NAMES)
    value = draw(st.sampled_from([SECRET, f"  {SECRET} ", [SECRET, "x"], {"deep": [SECRET]}]))
    shape = draw(st.integers(0, 5))
    if shape <= 2:
        return name, value
    inner = json.dumps({"list": [{name: value, "ok": 1}]}, ensure_ascii=draw(st.booleans()))
    if shape == 3:
        return "note", inner
    if shape == 4:
        return "note", json.dumps({"twice": inner})
    return "nested", {"a": [{name: value}]}  # no value of a property: refused


@st.composite
def events(draw):
    """An event with a secret, right or wrong in some way."""
    properties = dict(draw(st.lists(hidden(), min_size=1, max_size=3)))
    properties["beside"] = PLAIN
    event = {"event": "pay", "time": NOW, "user_id": "u", "properties": properties}
    wrong = draw(
        st.sampled_from(["", "", "name", "id", "kind", "time", "old", "field", "type", "p"])
    )
    if wrong == "name":
        event["event"] = "nope"
    elif wrong == "id":
        del event["user_id"]
    elif wrong == "kind":
        properties["amount"] = "much"
    elif wrong == "time":
        event["time"] = "soon"
    elif wrong == "old":
        event["time"] = NOW - 900 * 86_400_000
    elif wrong == "field":
        event[draw(NAMES)] = SECRET
    elif wrong == "type":
        event["type"] = draw(st.sampled_from(["what", "profile_delete"]))
    elif wrong == "p":
        event["properties"] = [properties]
    elif draw(st.booleans()):
        del event["event"]
        event["type"] = draw(
            st.sampled_from(
                ["profile_set", "profile_set_once", "profile_append", "profile_increment"]
            )
        )
    return event


@st.composite
def batches(draw):
    """Bytes of a batch; sometimes cut off."""
    found = draw(st.lists(events(), min_size=1, max_size=5))
    form = draw(st.sampled_from(["msgpack", "json", "escaped", "lines", "cut lines", "pretty"]))
    if form == "msgpack":
        data = msgpack.packb({"batch_id": draw(st.sampled_from(["b1", "b2"])), "events": found})
    elif form.endswith("lines"):
        data = b"\n".join(json.dumps(one).encode() for one in found)
        if form == "cut lines":
            data = data[: -draw(st.integers(1, 30))] + b"\n" + data
    elif form == "pretty":
        data = json.dumps(found, indent=1, ensure_ascii=False).encode()
    else:
        data = json.dumps(found, ensure_ascii=form == "escaped").encode()
        if form == "escaped":
            data = re.sub(rb'"pin"', rb'"\\u0070in"', data)
    if draw(st.integers(0, 9)) == 0:
        data = data[: draw(st.integers(1, len(data)))]
    return data


def raw_record(event):
    """A record that a protocol could make no event of."""
    return Rejected(0, "no_data", "", "m", json.dumps(event).encode())


def texts_of(engine):
    """All that can be read of a project."""
    yield repr(list(engine.rejected()))
    for table in (*read_events(engine), *read_profiles(engine)):
        yield repr(table.to_pydict())
    yield repr(engine.properties())


def files_of(folder):
    """Bytes of every file, and of the compressed records of quarantines."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            yield path, data
            if path.suffix == ".rejected":
                yield path, b"".join(_records(data))


def _records(data):
    at = 20
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        yield lz4.block.decompress(data[at + 8 : at + 8 + size])
        at += 8 + size


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mode=st.sampled_from(["open", "warn", "strict"]),
    data=st.lists(batches(), min_size=1, max_size=3),
    record=events(),
)
@example(
    mode="strict",
    data=[json.dumps([{"event": "nope", "time": NOW, "user_id": "u",
                       "properties": {"pin": SECRET, "beside": PLAIN}}]).encode()],
    record={"type": "item_set", "properties": {"PIN": SECRET, "beside": PLAIN}},
)  # fmt: skip
def test_a_sensitive_value_is_nowhere(folders, caplog, mode, data, record):
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    folder = folders.mktemp("bank")
    shown, told = asyncio.run(_sent(folder, mode, data, record))
    found_beside = False
    for text in (*shown, *told, caplog.text):
        assert SECRET not in text
        found_beside |= PLAIN in text
    for path, content in files_of(folder):
        assert SECRET.encode() not in content, path
    assert found_beside


def _answer(result):
    if isinstance(result, ZujiError):
        return str(result)
    return repr([(r.index, r.reason, r.path, r.message) for r in result.rejected])


async def _sent(folder, mode, data, record):
    """What is told of the events, and all that is stored of them."""
    engine, store = zuji.open(folder, "bank"), open_store(str(folder), "")
    shown, told = [], []
    try:
        governor = Governor("bank", engine, store, str(folder))
        governor.book.put("bank", plan_of(mode), "test")
        governor.refresh()
        watcher = governor.live.watch("", "", values=True)
        for batch in (*data, data[0]):  # the first one again
            told += map(_answer, governor.append([batch], [raw_record(record)]))
        await asyncio.sleep(0)
        shown += [message.decode() for message in watcher.waiting]
        for path, content in files_of(folder):  # as a kill would leave them
            assert SECRET.encode() not in content, path
        shown += texts_of(engine)
        engine.flush()
        shown += texts_of(engine)
        told.append(repr(governor.forecast(Which(None, None, None, None), None, 100)))
        told.append(repr(governor.replay(Which(None, "no_data", None, None), None)))
        governor.quality.flush()
        told.append(repr(counted(store, "bank")))
    finally:
        engine.close()
        store.close()
    return shown, told


def test_the_search_finds_what_is_not_sensitive(tmp_path, caplog):
    """Else the search above might be blind."""
    event = {"event": "pay", "time": NOW, "user_id": "u", "time_free": True,
             "properties": {"beside": SECRET}}  # fmt: skip
    data = [msgpack.packb([event, {**event, "event": ""}])]
    with pytest.raises(AssertionError, match=r"wal"):
        asyncio.run(_sent(tmp_path, "open", data, event))
    with zuji.open(tmp_path, "bank") as engine:
        engine.flush()
        assert any(SECRET in text for text in texts_of(engine))
    holding = {path.suffix for path, content in files_of(tmp_path) if SECRET.encode() in content}
    assert {".zseg", ".rejected"} <= holding
