"""HTTP requests: the parser with its guard, bodies, and what each protocol makes of a request."""

from __future__ import annotations

import base64
import gzip
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

from zuji.engine.batch import Decoder
from zuji.engine.batch._decode import count_items
from zuji.engine.errors import InvalidEvent, Overloaded, StorageFailed, ZujiError
from zuji.engine.index._strings import StringTable
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.writer import AppendResult
from zuji.server.collector.body import inflated
from zuji.server.collector.http import Watch
from zuji.server.collector.joining import Joined
from zuji.server.collector.message import Answer, Request, encoded
from zuji.server.errors import BadBody
from zuji.server.protocols import PROTOCOLS, columnar
from zuji.server.settings import Settings

if TYPE_CHECKING:
    from zuji.server.protocols import Protocol

SETTINGS = Settings(
    body_bytes=4096,
    bulk_body_bytes=4096,
    inflated_bytes=1 << 18,
    uri_bytes=256,
    uri_gif=1024,
    header_bytes=1024,
    header_fields=16,
)
CODINGS = ("gzip", "deflate", "zstd", "lz4", "", "x-gzip", "identity", "br")


_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class _Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return "192.0.2.1", 1

    def write(self, data: bytes) -> None:
        assert not self.closed, "written to a closed connection"
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None: ...


def _spoken(parts: list[bytes]) -> tuple[list[tuple[Any, ...]], list[int], bool]:
    """Requests handled, statuses sent and whether it ended, when these parts come one by one."""
    seen: list[tuple[Any, ...]] = []

    def handle(request: Request, _connection: Any) -> Answer:
        seen.append(
            (request.method, request.path, request.query, request.headers, bytes(request.body))
        )
        return Answer(200, b"")

    connection = Watch(SETTINGS, handle).protocol()
    wire = _Wire()
    connection.connection_made(wire)
    for part in parts:
        if part and not wire.closed:
            connection.data_received(part)
    connection.eof_received()
    connection.connection_lost(None)
    answers = [int(code) for code in _STATUS.findall(b"".join(wire.sent)) if code != b"100"]
    return seen, answers, wire.closed


def http(data: bytes) -> None:
    """A connection: however the bytes are cut, the same requests; an answer each, then none."""
    if not data:
        return
    step, data = 1 + data[0] % 64, data[1:]
    whole, answers, ended = _spoken([data])
    cut, cut_answers, cut_ended = _spoken([data[i : i + step] for i in range(0, len(data), step)])
    assert len(answers) in (len(whole), len(whole) + 1), (answers, whole)
    assert answers[: len(whole)] == [200] * len(whole)
    assert whole == cut, "the cut changes what is read"
    assert ended == cut_ended
    assert len(answers) == len(cut_answers)  # of two faults either may be told


def bodies(data: bytes) -> None:
    """A compressed body: clear bytes within the limits, or BadBody."""
    if not data:
        return
    coding, body = CODINGS[data[0] % len(CODINGS)], data[1:]
    bulk = data[0] >= 128
    try:
        found = inflated(body, coding, SETTINGS, bulk=bulk)
    except BadBody as refused:
        assert refused.status in (400, 413, 415)
        return
    assert len(found) <= (SETTINGS.bulk_body_bytes if bulk else SETTINGS.inflated_bytes)
    assert coding or found == body


ERRORS = (
    BadBody("b", 413),
    InvalidEvent("i", reason="malformed"),
    Overloaded("o", 1.0),
    StorageFailed("s"),
)
WRAPS = 8
TYPES = (b"application/json", b"text/plain", b"application/x-www-form-urlencoded", b"")


@lru_cache
def _routes() -> list[tuple[Protocol, str, str]]:
    return [
        (protocol, path, method)
        for protocol in PROTOCOLS
        for path in sorted(protocol.paths)
        for method in protocol.paths[path]
    ]


def _wrapped(how: int, payload: bytes) -> tuple[bytes, bytes]:
    """(query, body): the payload in one of the ways that SDKs send it."""
    if how == 1:
        return b"data=" + quote_from_bytes(base64.b64encode(payload)).encode(), b""
    if how == 2:
        return b"", b"data=" + base64.b64encode(payload)
    if how == 3:
        packed = base64.b64encode(gzip.compress(payload, 1))
        return b"", b"gzip=1&data_list=" + quote_from_bytes(packed).encode()
    if how == 4:
        return b"", b"verbose=1&data=" + quote_from_bytes(payload).encode()
    if how == 5:
        return b"", gzip.compress(payload, 1)
    if how == 6:
        return payload.replace(b" ", b"+"), b""
    return b"", payload


def request_of(data: bytes) -> tuple[Protocol, Request]:
    """A request for one of the routes: three bytes choose, the rest is what it carries."""
    protocol, path, method = _routes()[data[0] % len(_routes())]
    query, body = _wrapped(data[1] % WRAPS, data[3:])
    headers = {b"host": b"a", b"content-type": TYPES[data[2] % len(TYPES)]}
    if data[2] & 4:
        headers[b"authorization"] = b"Basic " + base64.b64encode(b"key:")
    if data[2] & 8:
        headers[b"user-agent"] = b"Mozilla/5.0 (X11; Linux x86_64) fuzz/" + data[:3].hex().encode()
    return protocol, Request(
        method, path, query, headers, body, "192.0.2.1", 1_790_827_200_000 + data[2]
    )


def protocols(data: bytes) -> None:
    """A request of any SDK: events that the engine can read and an answer, or a known error."""
    if len(data) < 3:
        return
    protocol, request = request_of(data)
    for error in ERRORS:
        assert _answers(protocol.failed(request, error))
    try:
        protocol.key(request)
        taken = protocol.convert(request, request.body, SETTINGS)
    except ZujiError as error:
        assert _answers(protocol.failed(request, error))
        return
    parts = Joined([taken])
    decoder = Decoder(DEFAULT_LIMITS, StringTable(1), StringTable(2))
    raw = len(taken.batches)
    stored: list[AppendResult | ZujiError] = []
    for number, batch in enumerate(parts.batches):
        try:
            decoder.decode(batch)
        except InvalidEvent as error:
            assert number < raw, f"events that sink a whole batch: {error.reason} {error}"
            stored.append(AppendResult())
            continue
        stored.append(AppendResult(decoder.n, 0, tuple(decoder.rejected)))
    results = [one for one in parts.apart(stored, {})[0] if isinstance(one, AppendResult)]
    assert sum(e.count for e in taken.events) == sum(
        one.accepted + len(one.rejected) for one in results[raw:]
    )
    assert all(len(one.raw) <= 8192 for one in taken.refused)
    assert _answers(protocol.stored(request, taken, results))


def columns(data: bytes) -> None:
    """A batch in columns: events within the limits that the engine can read, or InvalidEvent."""
    try:
        taken = columnar.convert(data, "")
    except InvalidEvent as error:
        assert error.index == -1
        return
    decoder = Decoder(DEFAULT_LIMITS, StringTable(1), StringTable(2))
    for events in taken.events:
        decoder.decode(b"\xdc" + events.count.to_bytes(2, "big") + events.data)
        assert decoder.n + len(decoder.rejected) == events.count
        assert count_items(b"\xdc" + events.count.to_bytes(2, "big") + events.data) <= (
            events.items + 1
        )
    for batch in taken.batches:
        decoder.decode(batch)


def _answers(answer: Answer) -> bytes:
    return encoded(answer, keep=True)


def seeds_http() -> list[bytes]:
    """The malformed and the good requests of the tests of framing."""
    from tests.server.test_http_framing import BAD, GOOD_ONES

    found = [*BAD.values(), *(raw for raw, _ in GOOD_ONES.values())]
    return [bytes((7,)) + raw for raw in found if len(raw) < 3000]


def seeds_bodies() -> list[bytes]:
    """Text in every coding."""
    import zlib

    import lz4.frame
    import zstandard

    text = b'{"event": "pay", "amount": 1}' * 30
    packed = [gzip.compress(text), zlib.compress(text), zstandard.compress(text)]
    packed += [lz4.frame.compress(text), text]
    packed += [gzip.compress(b"a") + gzip.compress(b"b"), zlib.compress(text)[2:-4]]
    return [bytes((code,)) + one for code in range(5) for one in packed]


def seeds_columns() -> list[bytes]:
    """Streams of every type of column, some compressed, some in several batches."""
    import pyarrow as pa

    when = pa.array([1_790_827_200_000, None], pa.timestamp("ms", "UTC"))
    own = {"event": ["e", "f"], "user_id": ["u", None], "device_id": [None, "d"], "time": when}
    made = {
        "text": pa.array(["a", None]),
        "wide": pa.array(["b", "c"], pa.large_string()),
        "words": pa.array(["x", "x"]).dictionary_encode(),
        "list": pa.array([["a", "b"], None], pa.list_(pa.string())),
        "n": pa.array([1, 2], pa.int8()),
        "big": pa.array([2**63, 1], pa.uint64()),
        "f": pa.array([1.5, None], pa.float32()),
        "yes": pa.array([True, False]),
        "day": pa.array([1, 2], pa.date32()),
        "us": pa.array([1, 2], pa.timestamp("us", "UTC")),
        "none": pa.nulls(2),
        "properties": pa.array([{"a": 1, "b": "x"}, None]),
        "insert_id": pa.array(["i", "j"]),
        "type": pa.array(["track", None]),
        "time_free": pa.array([True, None]),
    }
    found = []
    for extra in ({}, *({name: column} for name, column in made.items()), made):
        table = pa.table({**own, **extra})
        for compression in (None, "lz4", "zstd"):
            options = pa.ipc.IpcWriteOptions(compression=compression)
            sink = pa.BufferOutputStream()
            schema = table.schema.with_metadata({"batch_id": "b"} if compression else None)
            with pa.ipc.new_stream(sink, schema, options=options) as writer:
                writer.write_table(table.cast(schema), max_chunksize=1 if extra else 2)
            found.append(sink.getvalue().to_pybytes())
    return found


def seeds_protocols() -> list[bytes]:
    """For each route and way to send it, a body that some SDK might send."""
    now = int(time.time() * 0) + 1_790_827_200_000
    bodies = (
        b'{"type":"track","event":"pay","time":%d,"distinct_id":"u","anonymous_id":"a",'
        b'"login_id":"u","identities":{"$identity_login_id":"u"},"lib":{"$lib":"js",'
        b'"$lib_version":"1.27"},"properties":{"$is_first_day":true,"n":[1,"a"],"o":{"x":null}},'
        b'"_track_id":12345,"_flush_time":%d,"project":"p","token":"t"}' % (now, now),
        b'{"api_key":"key","sent_at":"2026-10-01T04:00:00Z","batch":[{"event":"$identify",'
        b'"distinct_id":"u","uuid":"0190-1","timestamp":"2026-10-01T04:00:00.123Z","properties":'
        b'{"$set":{"a":1},"$anon_distinct_id":"b","$lib":"web"},"$set":{"k":"v"}}]}',
        b'{"writeKey":"key","sentAt":"2026-10-01T04:00:00Z","batch":[{"type":"track","event":"e",'
        b'"userId":"u","anonymousId":"a","messageId":"m","timestamp":"2026-10-01T04:00:00Z",'
        b'"properties":{"a":1},"context":{"library":{"name":"x","version":"1"},"traits":{}}},'
        b'{"type":"identify","userId":"u","traits":{"age":3}},{"type":"alias","previousId":"p",'
        b'"userId":"u"},{"type":"group","groupId":"g","userId":"u","traits":{}},'
        b'{"type":"page","name":"n","userId":"u"}]}',
        b'[{"event":"e","properties":{"token":"key","distinct_id":"u","time":1790827200.5,'
        b'"$insert_id":"i","a":[1,2]}},{"$token":"key","$distinct_id":"u","$set":{"a":1},'
        b'"$add":{"n":1},"$union":{"l":["a"]},"$unset":["x"],"$append":{"l":"b"},"$delete":""}]',
        b'{"api_key":"key","events":[{"event_type":"e","user_id":"u","device_id":"d","insert_id":'
        b'"i","time":%d,"event_properties":{"a":1},"user_properties":{"$set":{"b":2},"$add":'
        b'{"c":1}},"groups":{"org":"x"},"revenue":1.5},{"event_type":"$identify","user_id":"u"}]}'
        % now,
        b'{"schema":"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4","data":'
        b'[{"e":"ue","eid":"x","aid":"key","uid":"u","duid":"d","dtm":"%d","stm":"%d","tv":"js",'
        b'"ue_px":"eyJkYXRhIjp7ImRhdGEiOnsiYSI6MX0sInNjaGVtYSI6ImlnbHU6Yy9uL2ovMS0wLTAifX0="},'
        b'{"e":"pv","url":"http://a/b?c=d","page":"p","cx":"e30="}]}' % (now, now),
        b'{"batch_id":"b","events":[{"event":"e","time":%d,"user_id":"u"}]}' % now,
        b"[{payloads",
        b'[{"ekey":"k","pkv":1,"payloads":"AAAA"}]',
    )
    return [
        bytes((route, how, how * 5 % 16)) + body
        for route in range(len(_routes()))
        for how in range(WRAPS)
        for body in bodies
    ]
