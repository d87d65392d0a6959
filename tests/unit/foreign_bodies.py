"""Requests of other SDKs without a server: what a protocol makes of them; bodies that are bad."""

import json
import random
from copy import deepcopy

import msgpack

import zuji
from zuji.engine.errors import InvalidEvent, ZujiError
from zuji.server.collector.message import Request
from zuji.server.errors import BadBody
from zuji.server.settings import Settings

NOW = 1_790_827_200_000
SETTINGS = Settings(data="x")


def request(path, body=b"", query=b"", method="POST", **headers):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request(method, path, query, named, body, "203.0.113.7", NOW)


def converted(protocol, asked, settings=SETTINGS):
    return protocol.convert(asked, asked.body, settings)


def events(taken):
    """Native events that a request brings."""
    found = []
    for part in taken.events:
        unpacker = msgpack.Unpacker(strict_map_key=False, unicode_errors="surrogatepass")
        unpacker.feed(part.data)
        of_part = list(unpacker)
        assert len(of_part) == part.count
        found += of_part
    return found


def one(taken):
    (event,) = events(taken)
    assert not taken.refused, taken.refused
    return event


def reasons(taken):
    return [(found.index, found.reason) for found in taken.refused]


def stored(tmp_path, taken):
    """What the engine says to it: no batch may be refused as a whole."""
    batches = [b"\xdc" + part.count.to_bytes(2, "big") + part.data for part in taken.events]
    with zuji.open(tmp_path, "p") as engine:
        results = engine.append_many(batches, list(taken.refused))
    assert not [result for result in results if isinstance(result, ZujiError)], results
    return results


ODD = [
    None,
    True,
    7,
    -1.5,
    1e300,
    float("nan"),
    10**30,
    "",
    "x",
    "\ud800",
    "$device:",
    "nan",
    "😀" * 3000,
    [],
    {},
    [1],
    ["a", None],
    {"a": {"b": [1]}},
    {"": 1},
    {"$time": 1, "x" * 200: 2},
]


def mutated(valid, rounds, seed):
    """Records in which some values are odd ones: any may be refused, none may do harm."""
    chance = random.Random(seed)
    for _ in range(rounds):
        record = json.loads(json.dumps(valid))
        for _ in range(chance.randint(1, 3)):
            places = list(_places(record))
            within, key = chance.choice(places)
            within[key] = deepcopy(chance.choice(ODD))
        yield record


def _places(value):
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def cut(valid, seed, rounds=300):
    """A valid body with bytes changed, cut or repeated."""
    chance = random.Random(seed)
    for _ in range(rounds):
        body = bytearray(valid)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body) + 1)
            kind = chance.randrange(3)
            if kind == 0:
                del body[at : at + chance.randint(1, 20)]
            elif kind == 1:
                body[at:at] = chance.choice([b"\x00", b"\xff", b'"', b"{", b"[", b",", b"&", b"%"])
            else:
                body[at:at] = bytes(body[at : at + 10])
        yield bytes(body)


def survives(protocol, asked):
    """Converts, or says what is wrong in one of the ways that have an answer."""
    try:
        return converted(protocol, asked)
    except (InvalidEvent, BadBody) as error:
        answer = protocol.failed(asked, error)
        assert 400 <= answer.status < 500
        return None
