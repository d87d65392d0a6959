"""The API's handlers without a network: clients that go away, errors of every kind, forms."""

from __future__ import annotations

import asyncio
import json
import threading

import pyarrow as pa
import pytest

from zuji.engine import errors
from zuji.engine.errors import Corruption, QueryCancelled, ZujiError
from zuji.server import errors as server_errors
from zuji.server.api import Api, make_api
from zuji.server.api.problems import STATUS
from zuji.server.metrics import Metrics
from zuji.server.settings import Settings

SECRET = "the-content-of-an-event"


class Answer:
    """What a query answered."""

    columns = rows = ()

    def to_json(self):
        return "{}"

    def to_csv(self):
        return "a\r\n"

    def to_arrow(self):
        return pa.table({"a": [1]})


class Engine:
    """Does what a test says; ``asked``: set when it was."""

    def __init__(self, call):
        self.call = call
        self.asked = threading.Event()

    def query(self, _query, **options):
        return self._called(**options)

    def state(self):
        return object(), None  # never the same: nothing is kept

    def users(self, _query, _pick, **options):
        return self._called(**options)

    def explain(self, _query, **options):
        return self._called(**options)

    def status(self):
        return self._called()

    events = properties = status

    def _called(self, **options):
        self.asked.set()
        return self.call(**options)


class Project:
    name = "default"

    def __init__(self, engine):
        self.engine = engine


class Keys:
    def allowed(self, _text, _need):
        return None


class Projects:
    def __init__(self, project):
        self.project = project

    def get(self, _name):
        return self.project

    def all(self):
        return [self.project]


class Served:
    """The application over one engine."""

    def __init__(self, call, **settings):
        self.engine = Engine(call)
        self.metrics = Metrics()
        projects = Projects(Project(self.engine))
        self.api = Api(Settings(data="x", **settings), projects, Keys(), self.metrics)
        self.app = make_api(self.api)

    def ask(self, path, body=None, *, headers=(), leave=False, target=b""):
        """Status, headers and body of an answer. ``leave``: goes away when the engine is asked."""
        return asyncio.run(self._ask(path, body, headers, leave, target))

    async def _ask(self, path, body, headers, leave, target):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET" if body is None else "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": target,
            "root_path": "",
            "scheme": "http",
            "headers": [(k.encode(), v.encode()) for k, v in headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        left = asyncio.Event()
        waiting = [{"type": "http.request", "body": body or b"", "more_body": False}]
        told = []

        async def receive():
            if waiting:
                return waiting.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            told.append(message)

        async def leaves():
            while not self.engine.asked.is_set():
                await asyncio.sleep(0.001)
            left.set()

        tasks = [leaves()] if leave else []
        await asyncio.wait_for(asyncio.gather(self.app(scope, receive, send), *tasks), 20)
        if not told:
            return None
        found = {k.decode(): v.decode() for k, v in told[0]["headers"]}
        text = b"".join(one.get("body", b"") for one in told[1:])
        return told[0]["status"], found, text


def until_cancelled(cancel=None, progress=None):
    """A query that ends only when it is cancelled."""
    for _ in range(2000):
        if cancel is not None and cancel.cancelled:
            raise QueryCancelled("cancelled")
        threading.Event().wait(0.005)
    raise AssertionError("nobody cancelled it")


PICK = json.dumps({"query": {}, "pick": {}}).encode()
EVENTS = (("accept", "text/event-stream"),)


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/query", b"{}", ()),
        ("/v1/query", b"{}", EVENTS),
        ("/v1/query/users", PICK, ()),
        ("/v1/query/explain", b"{}", ()),
    ],
)
def test_the_query_of_a_client_that_goes_away_is_cancelled(path, body, headers):
    served = Served(until_cancelled)
    served.ask(path, body, headers=headers, leave=True)
    page = served.metrics.page().decode()
    assert 'zuji_query_seconds_count{outcome="query_cancelled"} 1.0' in page
    assert "zuji_queries_running 0.0" in page
    served.api.desk.close()


def broken(**_options):
    raise KeyError(SECRET)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/query", b"{}"),
        ("/v1/query/users", PICK),
        ("/v1/query/explain", b"{}"),
        ("/v1/schema", None),
        ("/v1/status", None),
        ("/v1/live", None),  # this project has no governor
    ],
)
def test_a_bug_is_an_error_with_a_code_and_tells_nothing_of_what_it_met(path, body, caplog):
    served = Served(broken)
    status, headers, text = served.ask(path, body)
    assert status == 500
    assert headers["content-type"] == "application/json"
    error = json.loads(text)["error"]
    assert error["code"] == "internal"
    assert SECRET not in text.decode()
    assert SECRET not in caplog.text
    assert "server/api/" in caplog.text or "test_api.py" in caplog.text  # where it was
    assert 'outcome="internal"' in served.metrics.page().decode() or path == "/v1/live"


def test_a_bug_ends_a_stream_of_progress_with_an_error(caplog):
    served = Served(broken)
    status, _, text = served.ask("/v1/query", b"{}", headers=EVENTS)
    assert status == 200
    name, data = text.decode().strip().split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["code"] == "internal"
    assert SECRET not in text.decode() + caplog.text


@pytest.mark.parametrize(
    "problem",
    [
        errors.InvalidQuery("no"),
        errors.StorageFull("full"),
        errors.Overloaded("much", 3.0),
        errors.QueryBudgetExceeded("long"),
        Corruption("bad", "f", 1),
    ],
    ids=lambda one: one.code,
)
def test_errors_of_the_engine_keep_their_code(problem):
    def fails(**_options):
        raise problem

    status, headers, text = Served(fails).ask("/v1/query", b"{}")
    assert status == STATUS[problem.code]
    assert json.loads(text)["error"]["code"] == problem.code
    assert headers.get("retry-after") == ("3" if problem.code == "overloaded" else None)


def test_every_error_there_is_has_a_status():
    known = {"error"}
    todo = [ZujiError]
    assert server_errors.Unauthorized.__mro__[1] is ZujiError
    while todo:
        one = todo.pop()
        todo += one.__subclasses__()
        if one.__module__.startswith("zuji."):
            known.add(one.code)
    of_collector = {"throttled"}  # 429 or 503, by the SDK: the API throttles nobody
    assert known - of_collector <= set(STATUS)


@pytest.mark.parametrize(
    ("path", "body", "code", "status"),
    [
        ("/none", None, "not_found", 404),
        ("/docs/static/none.js", None, "not_found", 404),
        ("/v1/query", None, "method_not_allowed", 405),
        ("/v1/schema", b"{}", "method_not_allowed", 405),
        ("/v1/query/users", b"[]", "invalid_query", 400),
        ("/v1/query/users", b"{", "invalid_query", 400),
        ("/v1/query", b"x" * (1 << 20) + b"x", "invalid_query", 400),
    ],
)
def test_errors_of_requests_have_a_code(path, body, code, status):
    found, headers, text = Served(lambda **_: Answer()).ask(path, body)
    assert (found, json.loads(text)["error"]["code"]) == (status, code)
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("text/html, text/csv;q=0.5, */*;q=0.1", "text/csv"),
        ("text/csv, application/json;q=0.9", "text/csv"),
        ("application/json;q=0.2, application/vnd.apache.parquet", "application/vnd.apache.parq"),
        ("TEXT/CSV;Q=1.0", "text/csv"),
        ("text/csv;q=0, application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.str"),
        ("text/html", "application/json"),
        ("text/csv;q=nonsense", "application/json"),
    ],
)
def test_the_form_that_is_wanted_most_is_given(accept, kind):
    served = Served(lambda **_: Answer())
    _, headers, _ = served.ask("/v1/query", b"{}", headers=(("accept", accept),))
    assert headers["content-type"].startswith(kind)


def test_what_cannot_wait_is_told_to_come_back():
    gate = threading.Event()
    served = Served(lambda **_: gate.wait(20) and Answer(), query_concurrency=1, query_waiting=0)

    async def both():
        first = asyncio.ensure_future(served._ask("/v1/query", b"{}", (), False, b""))
        while not served.engine.asked.is_set():
            await asyncio.sleep(0.001)
        second = await served._ask("/v1/query", b"{}", (), False, b"")
        gate.set()
        return await first, second

    first, (status, headers, text) = asyncio.run(both())
    assert first[0] == 200
    assert (status, headers["retry-after"]) == (503, "2")
    assert json.loads(text)["error"]["code"] == "overloaded"
