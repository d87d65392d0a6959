"""Log lines about errors say where and of what kind, and nothing of what was met there."""

from __future__ import annotations

import asyncio
import gc
import json
import logging

import pytest

from zuji.server.logs import set_up

SECRET = "330102199001011234"


@pytest.fixture
def logged(capsys):
    """Lines of a server's log after a call, in a form."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("asyncio").filters[:]

    def run(form, call):
        set_up("info", form)
        call()
        return capsys.readouterr().err

    yield run
    root.handlers[:], root.level = before[0], before[1]
    logging.getLogger("asyncio").filters[:] = before[2]


def look():
    return {}[SECRET]


def fail():
    try:
        look()
    except KeyError as problem:
        raise ValueError(f"no {SECRET}") from problem


def in_a_call():
    try:
        fail()
    except ValueError:
        logging.getLogger("zuji.x").exception("a bug while storing")


def in_a_task():
    async def forgotten():
        async def task():
            fail()

        made = asyncio.ensure_future(task())
        await asyncio.sleep(0.01)
        assert made.done()

    asyncio.run(forgotten())
    gc.collect()


def in_a_callback():
    async def run():
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0.01)

    asyncio.run(run())


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("call", [in_a_call, in_a_task, in_a_callback])
def test_an_error_is_logged_without_its_text(logged, form, call):
    text = logged(form, call)
    assert "kind=ValueError" in text
    assert "from kind=KeyError" in text
    assert "test_logs.py:" in text
    assert SECRET not in text
    if form == "json":
        for line in text.splitlines():
            assert json.loads(line)["level"] == "error"


def test_lines_are_as_they_were(logged):
    def say():
        logging.getLogger("zuji.x").info("opened project=%s rows=%d", "p", 5)

    assert logged("text", say).endswith("INFO zuji.x opened project=p rows=5\n")
    line = json.loads(logged("json", say))
    assert (line["level"], line["message"]) == ("info", "opened project=p rows=5")
