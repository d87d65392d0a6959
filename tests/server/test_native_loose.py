"""Native arrays that are stored together with others: each sender is told what it would have been
told alone, however broken its neighbours are.
"""

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

import zuji
from tests.server.without_syncs import without_syncs
from zuji.engine.errors import ZujiError
from zuji.server.collector.joining import Joined
from zuji.server.collector.message import Request
from zuji.server.protocols.native import NATIVE
from zuji.server.settings import Settings

NOON = 1_790_827_200_000
WHOLE = msgpack.packb(
    [
        {"event": "go", "time": NOON, "user_id": "u1", "properties": {"a": ["x"], "b": 1.5}},
        {"event": "go", "time": NOON, "user_id": None, "device_id": "d"},
    ]
)


def taken(body):
    request = Request("POST", "/v1/events", b"", {}, body, "127.0.0.1", NOON)
    return NATIVE.convert(request, body, Settings())


def said(result):
    return (result.code, result.reason) if isinstance(result, ZujiError) else result


def test_an_array_is_loose_and_a_batch_with_an_id_is_not():
    assert taken(WHOLE).events[0].count == 2
    many = msgpack.packb([{"event": "go", "time": NOON, "user_id": "u"}] * 20)
    assert taken(many).events[0].count == 20
    for body in (
        msgpack.packb({"batch_id": "b", "events": []}),
        b"",
        b"\x90",
        WHOLE + b"\x00",
        WHOLE[:-1],
        b"\x91\xc1",
        b"[]",
    ):
        assert taken(body).batches == (body,)


BODY = st.one_of(
    st.just(WHOLE),
    st.binary(max_size=40).map(lambda rest: b"\x91" + rest),
    st.builds(
        lambda at, byte: WHOLE[: at % len(WHOLE)] + bytes([byte]) + WHOLE[at % len(WHOLE) + 1 :],
        st.integers(0, len(WHOLE) - 1),
        st.integers(0, 255),
    ),
    st.recursive(
        st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=3), st.binary(max_size=3)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ).map(lambda value: msgpack.packb([value])),
    st.integers(1, 600).map(lambda depth: b"\x91" * depth + b"\xc0"),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(BODY, min_size=1, max_size=5))
@without_syncs()
def test_a_broken_body_does_not_sink_its_neighbours(tmp_path_factory, bodies):
    folder = tmp_path_factory.mktemp("loose")
    joined = Joined([taken(WHOLE), *map(taken, bodies), taken(WHOLE)])
    with zuji.open(folder / "a") as engine:
        stored = engine.append_many(joined.batches)
        assert not joined.spoiled(stored)
        found = [said(one) for each in joined.apart(stored, {}) for one in each]
    with zuji.open(folder / "b") as engine:
        alone = [said(one) for one in engine.append_many([WHOLE, *bodies, WHOLE])]
    assert found == alone
