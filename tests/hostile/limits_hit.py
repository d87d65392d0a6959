"""How each limit is met and passed: what is answered at the limit, and one beyond it.

:data:`HITS` has a function for each row of the table in docs/operations.md, by owner and name; it
gives both answers as words: ``200``, ``413 bad_body``, or the reason of one refused event. Most are
sent to a real `zuji serve` with its defaults but `refused_rate` (a :class:`World`); those of time,
and those that would fill a project, to the same parts in this process.
"""

import asyncio
import gzip
import http.client
import itertools
import json
import random
import socket
import tempfile
import threading

import msgpack

import zuji
from tests.server.listening import all_of, connected, listening
from tests.server.planned import DAY, HOUR, NOW, gate_of, plan
from tests.server.planned import event as planned
from tests.server.test_gathering import Job, Storage, gathering
from zuji.engine.batch._decode import count_items
from zuji.engine.errors import ZujiError
from zuji.engine.limits import DEFAULT_LIMITS as L
from zuji.engine.query.context import Cancel
from zuji.server.api.app import QUERY_BYTES
from zuji.server.api.asking import Desk
from zuji.server.api.problems import STATUS
from zuji.server.collector.message import Request
from zuji.server.collector.standing import BURST_S, Standing, Throttled
from zuji.server.metrics import Metrics
from zuji.server.plan.document import OPEN
from zuji.server.plan.live import MOST_WATCHERS, Live
from zuji.server.protocols import columnar, native
from zuji.server.settings import Settings

NOON = 1_790_827_200_000
S = Settings()
DAYS = {"from": "2026-10-01", "to": "2026-10-02", "grain": "all"}
QUERY = {"model": "event", "time": DAYS, "body": {"series": [{"e": "e", "measure": "count"}]}}


def event(**more):
    return {"event": "e", "time": NOON, "user_id": "u", **more}


class World:
    """A running server: ``host`` and ports, keys by kind."""

    def __init__(self, collector, api, keys):
        self.collector, self.api, self.keys = collector, api, keys

    def raw(self, data):
        """Status and code of the answer to these bytes."""
        with connected(self.collector) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return told(all_of(client))

    def sent(self, body, key="write", path="/v1/events", **headers):
        """The same of a POST to the collector."""
        return self._asked(self.collector, "POST", path, body, key, headers)

    def query(self, document, key="read", path="/v1/query", method="POST"):
        """The same of a request to the API."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self._asked(self.api, method, path, body, key, {})

    def _asked(self, port, method, path, body, key, headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {self.keys[key]}", **headers}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return word(answer.status, answer.read())
        finally:
            connection.close()

    def events(self, *events):
        """The same of a batch of events."""
        return self.sent(msgpack.packb(list(events)))


def word(status, body):
    """``200``, the reason of a refused event, or the status and the code of an error."""
    try:
        said = json.loads(body)
    except ValueError:
        return str(status)
    if status == 200:
        rejected = said.get("rejected") if isinstance(said, dict) else None
        return rejected[0]["code"] if rejected else "200"
    return f"{status} {said['error']['code']}"


def told(raw):
    """The same of an answer as it came; ``closed`` when there is none."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return word(int(head[9:12]), body) if head else "closed"


def code_of(call):
    """``200``, or what an error would be answered with."""
    try:
        call()
    except ZujiError as error:
        return f"{STATUS[error.code]} {error.code}"
    return "200"


# -- the body of a request -----------------------------------------------------------------------


def blank(size, seed=1):
    """White space that is not smaller than an eighth when it is packed, around an empty batch."""
    chance = random.Random(seed)
    return b"[" + bytes(chance.choices(b" \n", k=size - 2)) + b"]"


def body_bytes(world):
    return world.sent(blank(S.body_bytes)), world.sent(blank(S.body_bytes + 1))


def inflated_bytes(world):
    packed = [gzip.compress(blank(S.inflated_bytes + more)) for more in (0, 1)]
    assert max(map(len, packed)) < S.body_bytes
    return tuple(world.sent(body, **{"Content-Encoding": "gzip"}) for body in packed)


def inflate_ratio(world):
    def packed(noise):
        return gzip.compress(blank(noise)[:-1] + b" " * (300_000 - noise) + b"]", mtime=0)

    sizes = {noise: 300_000 / len(packed(noise)) for noise in range(2_000, 40_000, 500)}
    at = max((n for n, ratio in sizes.items() if ratio <= S.inflate_ratio), key=sizes.get)
    over = min((n for n, ratio in sizes.items() if ratio > S.inflate_ratio), key=sizes.get)
    coding = {"Content-Encoding": "gzip"}
    return world.sent(packed(at), **coding), world.sent(packed(over), **coding)


def bulk_body_bytes(world):
    line = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    return world.sent(blank(3 << 20), "admin"), world.raw(line % (S.bulk_body_bytes + 1))


def get(target, *fields):
    return b"\r\n".join((b"GET %b HTTP/1.1" % target, b"Host: a", *fields)) + b"\r\n\r\n"


def uri_bytes(world):
    return tuple(world.raw(get(b"/livez?" + b"a" * (S.uri_bytes - 7 + more))) for more in (0, 1))


def uri_gif(world):
    key = world.keys["write"].encode()
    start = b"/sa.gif?token=%b&data=e30%%3D&x=" % key
    return tuple(
        world.raw(get(start + b"a" * (S.uri_gif - len(start) + more), b"Connection: close"))
        for more in (0, 1)
    )


def header_fields(world):
    most = S.header_fields - 1  # Host
    return tuple(
        world.raw(get(b"/livez", *(b"X-%d: a" % n for n in range(most + more)))) for more in (0, 1)
    )


def header_bytes(world):
    most = S.header_bytes - len(b"Host: a\r\nX: \r\n")
    return tuple(world.raw(get(b"/livez", b"X: " + b"a" * (most + more))) for more in (0, 1))


# -- connections ---------------------------------------------------------------------------------

GOOD = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"


def _slow(sent, **limits):
    with listening(Settings(**limits), sweep=True) as listener:
        with connected(listener.port) as client:
            client.sendall(GOOD)
            good = told(client.recv(4096))
        with connected(listener.port) as client:
            client.sendall(sent)
            return good, told(all_of(client))


def header_seconds(_world):
    return _slow(b"GET / HTTP/1.1\r\nHo", header_seconds=0.3)


def body_rate(_world):
    return _slow(GOOD[:-1], body_rate=1 << 40)


def idle_seconds(_world):
    return _slow(b"", idle_seconds=0.3)


def _crowded(name):
    with listening(Settings(**{name: 1})) as listener, connected(listener.port) as first:
        first.sendall(GOOD)
        good = told(first.recv(4096))
        with connected(listener.port) as second:
            return good, told(all_of(second))


def connections(_world):
    return _crowded("connections")


def address_connections(_world):
    return _crowded("address_connections")


def queue_bytes(_world):
    storage = Storage()
    storage.open.clear()
    with gathering(storage, 100) as gatherer:
        try:
            return tuple(code_of(lambda: gatherer.put(Job(size=60))) for _ in range(2))
        finally:
            storage.open.set()


def refused_rate(_world):
    """By a clock that stands still."""
    standing = Standing(S.refused_rate, clock=lambda: 0.0)
    request = Request("POST", "/v1/events", b"", {}, b"", "10.0.0.1", 0)

    def owing(units):
        standing.settle(request, "k", units)
        try:
            standing.check(request, "k")
        except Throttled as error:
            return f"{native.failed(request, error).status} {error.code}"
        return "200"

    return owing(int(S.refused_rate * BURST_S)), owing(1)


# -- batches and events --------------------------------------------------------------------------


def at_and_over(make, most):
    """What an engine of its own says to batches of ``make(most)`` and ``make(most + 1)``."""
    with tempfile.TemporaryDirectory() as folder, zuji.open(folder) as engine:
        return tuple(_appended(engine, make(count)) for count in (most, most + 1))


def _appended(engine, batch):
    try:
        found = engine.append_batch(batch if isinstance(batch, bytes) else msgpack.packb(batch))
    except ZujiError as error:
        return f"{STATUS[error.code]} {error.reason}"
    return found.rejected[0].reason if found.rejected else "200"


def batch_bytes(_world):
    """The collector inflates no more in any case; who embeds the engine meets this one."""
    return at_and_over(blank, L.batch_bytes)


def batch_events(world):
    return tuple(world.events(*[event()] * (L.batch_events + more)) for more in (0, 1))


def batch_items(world):
    """As many events with long lists as fit, and one that fills what is left, or is too long."""

    def listed(count):
        return event(properties={"list": ["a"] * count})

    head = count_items(msgpack.packb(listed(0)))
    many, left = divmod(L.batch_items - 1, head + 250)
    assert left > head
    return tuple(world.events(*[listed(250)] * many, listed(left - head + more)) for more in (0, 1))


def event_depth(world):
    """A list of texts is level 3; what is in one deeper is wrong, but for another reason."""
    deep = [["a"], [["a"]]]
    told = [world.events(event(properties={"list": [one]})) for one in deep]
    assert told[0] == "bad_value"
    return world.events(event(properties={"list": ["a"]})), told[1]


def event_properties(world):
    return tuple(
        world.events(event(properties={f"p{n}": 1 for n in range(L.event_properties + more)}))
        for more in (0, 1)
    )


def string_bytes(world):
    texts = ("a" * (L.string_bytes + more) for more in (0, 1))
    return tuple(world.events(event(properties={"text": text})) for text in texts)


def name_bytes(world):
    names = ("n" * (L.name_bytes + more) for more in (0, 1))
    return tuple(world.events(event(properties={name: 1})) for name in names)


def id_bytes(world):
    return tuple(world.events(event(user_id="i" * (L.id_bytes + more))) for more in (0, 1))


def list_values(world):
    return tuple(
        world.events(event(properties={"list": ["a"] * (L.list_values + more)})) for more in (0, 1)
    )


def time_min_ms(world):
    return tuple(world.events(event(time=L.time_min_ms - more)) for more in (0, 1))


def time_max_ms(world):
    return tuple(world.events(event(time=L.time_max_ms - 1 + more)) for more in (0, 1))


def project_event_names(_world):
    names = (event(event=f"e{n}") for n in itertools.count())
    return at_and_over(
        lambda n: list(itertools.islice(names, n - (n > L.batch_events) * L.batch_events)),
        L.project_event_names,
    )


def project_property_names(_world):
    names = (f"p{n}" for n in itertools.count())

    def wide(count):
        fresh = list(itertools.islice(names, count if count == L.project_property_names else 1))
        return [
            event(event=part[0], properties=dict.fromkeys(part, 1)) for part in _cut(fresh, 250)
        ]

    return at_and_over(wide, L.project_property_names)


def event_property_names(_world):
    names = (f"p{n}" for n in itertools.count())

    def wide(count):
        fresh = list(itertools.islice(names, count if count == L.event_property_names else 1))
        return [event(properties=dict.fromkeys(part, 1)) for part in _cut(fresh, 250)]

    return at_and_over(wide, L.event_property_names)


def _cut(values, size):
    return [values[at : at + size] for at in range(0, len(values), size)]


# -- what a plan says of times -------------------------------------------------------------------


def _strict(*times):
    gate = gate_of(plan("strict"))
    found = [gate.passed(msgpack.packb([planned(time=time)]), NOW).findings for time in times]
    return tuple(one[0].code if one else "200" for one in found)


def back_days(_world):
    edge = NOW - round(OPEN.late.back_days * DAY)
    return _strict(edge, edge - 1)


def ahead_hours(_world):
    edge = NOW + round(OPEN.late.ahead_hours * HOUR)
    return _strict(edge, edge + 1)


# -- columns -------------------------------------------------------------------------------------


def _stream(rows, name="p", batch_id=None, **columns):
    import pyarrow as pa

    columns = {"event": ["e"] * rows, "user_id": ["u"] * rows, "time": [NOON] * rows, **columns}
    table = pa.table(columns)
    if batch_id is not None:
        table = table.replace_schema_metadata({"batch_id": batch_id})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(
        sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
    ) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def column_rows(world):
    return tuple(world.sent(_stream(columnar.ROWS + more)) for more in (0, 1))


def column_bytes(world):
    text = "a" * 8_000
    fits = (columnar.SWELL * columnar.SWELL_FROM) // 8_200
    return tuple(world.sent(_stream(n, text=[text] * n)) for n in (fits, 2 * fits))


def column_batch_id(world):
    return tuple(
        world.sent(_stream(1, batch_id="b" * (columnar.ID_BYTES + more))) for more in (0, 1)
    )


# -- questions -----------------------------------------------------------------------------------


def query_bytes(world):
    text = json.dumps(QUERY).encode()
    return tuple(world.query(text + b" " * (L.query_bytes - len(text) + more)) for more in (0, 1))


def query_depth(world):
    """``all`` and ``any`` in turns: a level for the map and one for its list."""

    def nested(count):
        found = {"p": "event.x", "op": "eq", "v": 1}
        for n in range(count):
            found = {("all", "any")[n % 2]: [found]}
        return {**QUERY, "where": found}

    def levels(value):
        if not isinstance(value, dict | list):
            return 0
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(levels, inner), default=0)

    counts = range(20)
    at = max(n for n in counts if levels(nested(n)) <= L.query_depth)
    return world.query(nested(at)), world.query(nested(at + 1))


def query_list_values(world):
    return tuple(
        world.query({**QUERY, "where": {"p": "event.x", "op": "in", "v": list(range(n))}})
        for n in (L.query_list_values, L.query_list_values + 1)
    )


def request_bytes(world):
    text = json.dumps(QUERY).encode()
    return world.query(text), world.query(text + b" " * QUERY_BYTES)


def query_waiting(_world):
    """With one that runs and none that may wait."""

    async def two():
        desk, began, go = (
            Desk(Settings(query_concurrency=1, query_waiting=0), Metrics()),
            asyncio.Event(),
            threading.Event(),
        )
        loop = asyncio.get_running_loop()

        def works():
            loop.call_soon_threadsafe(began.set)
            go.wait(20)

        async def stays():
            await asyncio.Event().wait()

        first = asyncio.ensure_future(desk.run(works, Cancel(), stays))
        await began.wait()
        try:
            await desk.run(works, Cancel(), stays)
        except ZujiError as error:
            refused = f"{STATUS[error.code]} {error.code}"
        go.set()
        await first
        return "200", refused

    return asyncio.run(two())


def _budgets(*options):
    """What a query says that has so much of everything."""
    with tempfile.TemporaryDirectory() as folder, zuji.open(folder) as engine:
        engine.append([event(properties={"n": n}) for n in range(5_000)])
        query = {**QUERY, "by": [{"p": "event.n"}], "top": {"n": 1000}}
        return tuple(code_of(lambda more=more: engine.query(query, **more)) for more in options)


def query_seconds(_world):
    return _budgets({}, {"seconds": 0.0})


def query_memory(_world):
    return _budgets({}, {"memory_bytes": 1_000})


def watchers(_world):
    async def many():
        live = Live()
        for _ in range(MOST_WATCHERS):
            live.watch("", "", values=False)
        return "200", code_of(lambda: live.watch("", "", values=False))

    return asyncio.run(many())


OWNERS = {
    "server": (
        *(body_bytes, inflated_bytes, inflate_ratio, bulk_body_bytes, uri_bytes, uri_gif),
        *(header_fields, header_bytes, header_seconds, body_rate, idle_seconds),
        *(connections, address_connections, queue_bytes, refused_rate),
        *(query_waiting, query_seconds),
    ),
    "limits": (
        *(batch_bytes, batch_events, batch_items, event_depth, event_properties, string_bytes),
        *(name_bytes, id_bytes, list_values, time_min_ms, time_max_ms, project_event_names),
        *(
            project_property_names,
            event_property_names,
            query_bytes,
            query_depth,
            query_list_values,
        ),
    ),
    "config": (query_memory,),
    "plan": (back_days, ahead_hours),
    "fixed": (column_rows, column_bytes, column_batch_id, request_bytes, watchers),
}
HITS = {(owner, hit.__name__): hit for owner, hits in OWNERS.items() for hit in hits}
