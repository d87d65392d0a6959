"""Sending to a collector: what is tried again, what ends the import, what is noted when."""

from __future__ import annotations

import json
import threading
import time
from email.utils import formatdate

import msgpack
import pytest

from tests.importing import Answering
from zuji.engine.errors import InvalidInput, Overloaded, ZujiError
from zuji.server.errors import Forbidden, Unauthorized
from zuji.server.importer.backoff import FIRST_S, LONGEST_S, pause, retry_after
from zuji.server.importer.mapping import Mapping
from zuji.server.importer.parcels import Packed, Parcel, parcels_of
from zuji.server.importer.place import FilePlace
from zuji.server.importer.readers.base import Reject
from zuji.server.importer.rejects import RejectsFile
from zuji.server.importer.remote import RemoteTarget
from zuji.server.importer.shipping import Stopped, ship_file

KEY = "f:" + "1" * 32
STORED = (200, b'{"accepted":1,"duplicates":0,"rejected":[]}', {})


def parcel(n, *, ordered=False, text=None):
    event = {"event": "go", "time": n, "user_id": "u", "properties": {"x": text or str(n)}}
    packed = Packed(n, msgpack.packb(event), 12, lambda _: {"n": n}, ordered=ordered)
    (made,) = parcels_of(KEY, n, [packed], end=n + 1, progress=n, rows=1, rejects=[])
    return made


@pytest.fixture
def collector():
    found = []

    def make(*answers, then=STORED, slow=0.0):
        server = Answering(answers, then, slow)
        found.append(server)
        return server

    yield make
    for server in found:
        server.close()


def target(server, waits=None, **options):
    def wait(seconds):
        if waits is not None:
            waits.append(seconds)
        return False

    return RemoteTarget(server.url, "zk_write_id_secret", wait=wait, **options)


def batch_ids(server):
    return [msgpack.unpackb(body)["batch_id"] for body in server.bodies if body != b"\x90"]


def test_what_passes_is_tried_again_under_the_same_id(collector):
    broken = [(status, b"", {}) for status in (408, 425, 429, 500, 502, 503, 504, 507)]
    server = collector(*broken, None, STORED)  # None: the connection is dropped
    waits = []
    ((_, answered),) = target(server, waits, concurrency=1).stored(iter([parcel(1)]))
    assert answered.accepted == 1
    assert len(set(batch_ids(server))) == 1
    assert len(server.bodies) == len(broken) + 2
    assert len(waits) == len(broken) + 1


def test_nothing_is_sent_before_the_server_said(collector):
    date = formatdate(time.time() + 90, usegmt=True)
    server = collector((503, b"", {"Retry-After": "7"}), (503, b"", {"Retry-After": date}))
    waits = []
    list(target(server, waits, concurrency=1).stored(iter([parcel(1)])))
    assert 7 <= waits[0] <= 7 + FIRST_S
    assert 80 <= waits[1] <= 91


def test_pauses_are_jittered_and_bounded():
    assert [pause(n, None, 1.0) for n in range(3)] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert pause(5, None, 0.0) == 0.0
    assert pause(1000, None, 1.0) == LONGEST_S
    assert pause(0, 1e9, 1.0) == 600 + FIRST_S
    assert pause(0, -5, 0.0) == 0.0
    assert len({pause(8, None) for _ in range(20)}) > 10
    assert (retry_after(None), retry_after("soon"), retry_after("1.5")) == (None, None, 1.5)


@pytest.mark.parametrize(
    ("answer", "error", "word"),
    [
        ((401, b'{"error":{"code":"unauthorized","message":"no"}}', {}), Unauthorized, "key"),
        ((403, b"", {}), Forbidden, "may not send"),
        ((404, b"<html>", {}), InvalidInput, "answers 404"),
        ((413, b"", {}), InvalidInput, "body_bytes"),
        ((400, b'{"error":{"code":"bad_body","message":"why"}}', {}), InvalidInput, "bad_body"),
        ((302, b"", {"Location": "https://b"}), InvalidInput, "https://b"),
        ((200, b"<html>welcome</html>", {}), InvalidInput, "no Zuji collector"),
        ((200, b"{}", {}), InvalidInput, "no Zuji collector"),
    ],
)
def test_what_does_not_pass_ends_the_import_and_says_what_to_do(collector, answer, error, word):
    server = collector(then=answer)
    with pytest.raises(error, match=word):
        list(target(server).stored(iter([parcel(1), parcel(2)])))
    with pytest.raises(error, match=word):
        target(server).check()


def test_patience_ends(collector):
    server = collector(then=(503, b"", {}))
    with pytest.raises(Overloaded, match="the same command goes on"):
        list(target(server, patience_s=0).stored(iter([parcel(1)])))


def test_a_stop_ends_the_waiting_at_once(collector):
    server = collector(then=(503, b"", {"Retry-After": "500"}))
    stop = threading.Event()
    remote = RemoteTarget(server.url, "k", stop=stop)
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        list(remote.stored(iter([parcel(n) for n in range(9)])))
    assert time.monotonic() - began < 20


def test_an_error_does_not_wait_for_others_that_wait(collector):
    server = collector((503, b"", {"Retry-After": "500"}), then=(401, b"", {}))
    began = time.monotonic()
    with pytest.raises(ZujiError):
        list(
            RemoteTarget(server.url, "k", concurrency=2).stored(iter([parcel(n) for n in range(9)]))
        )
    assert time.monotonic() - began < 20


def test_a_bounded_number_is_under_way_and_results_are_in_order(collector):
    server = collector(slow=0.02)
    done = [p.end for p, _ in target(server, concurrency=3).stored(iter(map(parcel, range(40))))]
    assert done == [n + 1 for n in range(40)]
    assert 1 < server.most <= 3


def test_changes_of_users_go_one_after_the_other(collector):
    server = collector(slow=0.02)
    parcels = [parcel(n, ordered=True) for n in range(12)]
    list(target(server, concurrency=4).stored(iter(parcels)))
    assert server.most == 1
    ids = batch_ids(server)
    assert [int(one.split(":")[2]) for one in ids] == list(range(12))


def test_a_server_without_zstd_gets_gzip_and_one_without_both_plain_bytes(collector):
    server = collector((415, b"", {}), (415, b"", {}))
    list(target(server, concurrency=1).stored(iter([parcel(1), parcel(2)])))
    assert server.codings == ["zstd", "gzip", None, None]


def test_what_shrinks_like_a_bomb_is_sent_as_it_is(collector):
    server = collector()
    list(target(server).stored(iter([parcel(1, text="a" * 100_000)])))
    assert server.codings == [None]


def test_the_key_goes_in_a_header_and_the_check_stores_nothing(collector):
    server = collector()
    target(server).check()
    assert server.bodies == [b"\x90"]
    assert server.authorizations == ["Bearer zk_write_id_secret"]


# -- the place ------------------------------------------------------------------------------------


class Parcels:
    """A source of given parcels."""

    size_bytes, rows_known = 100, None

    def __init__(self, path, parcels):
        self.path = path
        self._parcels = parcels

    def parcels(self, key, position):
        return iter([p for p in self._parcels if p.end is None or p.end > position])


class Refusing:
    """A target that fails at the given parcel."""

    def __init__(self, at=None):
        self.at = at
        self.ends = []

    def stored(self, parcels):
        for one in parcels:
            if one.end == self.at:
                raise Overloaded("gone")
            self.ends.append(one.end)
            yield one, None


def test_a_place_moves_only_behind_what_was_acknowledged(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("x")
    parcels = [Parcel(n, n, 1, rejects=[Reject(n, "bad", "no")]) for n in range(1, 9)]

    def place(**options):
        return FilePlace(path, Mapping(), "UTC", "http://a id", None, **options)

    with RejectsFile(tmp_path / "r.jsonl") as rejects, pytest.raises(Overloaded):
        ship_file(Parcels(path, parcels), Refusing(5), place(), rejects)
    assert place().position == 4
    assert not place().finished
    assert "secret" not in place().file.read_text()
    other = FilePlace(path, Mapping(), "UTC", "http://b id", None)
    assert other.position == 0
    with RejectsFile(tmp_path / "r.jsonl") as rejects:
        rest = Refusing()
        state = ship_file(Parcels(path, parcels), rest, place(), rejects)
        assert (rest.ends, state.resumed_at, rejects.total) == ([5, 6, 7, 8], 4, 8)
        assert ship_file(Parcels(path, parcels), rest, place(), rejects).already_done
    listed = [json.loads(line)["row"] for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert listed == list(range(1, 9))
    path.write_text("other")
    assert place().position == 0


def test_a_torn_rejects_file_and_a_foreign_resume_file(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("x")
    (tmp_path / "r.jsonl").write_bytes(b'{"file":"f.csv","ro')
    with RejectsFile(tmp_path / "r.jsonl") as rejects:
        rejects.resume(path, KEY)
        rejects.add(path, [Reject(3, "bad", "no")], KEY)
    lines = (tmp_path / "r.jsonl").read_bytes().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1])["row"] == 3
    place = FilePlace(path, Mapping(), "UTC", "to", None)
    place.file.write_text("{")
    with pytest.raises(InvalidInput, match="not a resume file"):
        FilePlace(path, Mapping(), "UTC", "to", None)


def test_a_folder_that_cannot_be_written_names_the_option(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("x")
    place = FilePlace(path, Mapping(), "UTC", "to", tmp_path / "missing")
    with pytest.raises(InvalidInput, match="--state"):
        place.begin()
