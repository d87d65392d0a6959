"""Enrichment: what it adds, what it leaves alone, and whom it believes."""

from __future__ import annotations

import json
import sys

import msgpack
import pytest

from zuji.engine.errors import InvalidInput
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server import enrich
from zuji.server.collector.message import Request, Taken
from zuji.server.protocols.records import packed
from zuji.server.settings import Settings

netaddr = pytest.importorskip("netaddr")
mmdb_writer = pytest.importorskip("mmdb_writer")
pytest.importorskip("maxminddb")
pytest.importorskip("ua_parser")

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/130.0.0.0 Safari/537.36"
)
OF_IPHONE = {
    "$browser": "Mobile Safari",
    "$browser_version": "18",
    "$os": "iOS",
    "$os_version": "18.1",
    "$device_type": "Mobile",
}
JINAN = {"$country": "China", "$province": "Shandong", "$city": "Jinan"}


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    """A small file as MaxMind makes them."""
    path = tmp_path_factory.mktemp("regions") / "city.mmdb"
    writer = mmdb_writer.MMDBWriter(6, "Test-City", languages=["en", "zh-CN"], ipv4_compatible=True)
    names = [("China", "中国"), ("Shandong", "山东"), ("Jinan", "济南")]
    country, province, city = ({"names": {"en": en, "zh-CN": zh}} for en, zh in names)
    jinan = {
        "country": {**country, "iso_code": "CN"},
        "subdivisions": [province, {"names": {"en": "Lixia"}}],
        "city": city,
    }
    writer.insert_network(netaddr.IPSet(["203.0.113.0/24", "2001:db8::/32"]), jinan)
    flat = {"country": "DE", "region": "Bayern", "city": "Munich"}
    writer.insert_network(netaddr.IPSet(["198.51.100.0/24"]), flat)
    odd = {"country": ["x"], "subdivisions": {"a": 1}, "city": {"names": [1]}}
    writer.insert_network(netaddr.IPSet(["192.0.2.0/24"]), odd)
    writer.to_db_file(str(path))
    return str(path)


def request(agent=IPHONE, peer="203.0.113.7", path="/track", **headers):
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    if agent is not None:
        named[b"user-agent"] = agent.encode()
    return Request("POST", path, b"", named, b"", peer, 0)


def made(settings, asked, *events):
    """Properties of events after enrichment."""
    add = enrich.enricher(settings)
    full = [{"event": "go", "time": 1, "user_id": "u", **event} for event in events]
    taken = add(Taken(events=packed(full), note="n", key="k"), asked)
    assert (taken.note, taken.key) == ("n", "k")
    return [one.get("properties", {}) for part in taken.events for one in unpacked(part)]


def unpacked(part):
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(part.data)
    found = list(unpacker)
    assert len(found) == part.count
    return found


def test_nothing_is_done_unless_configured():
    assert enrich.enricher(Settings()) is None
    assert enrich.enricher(Settings(trusted_proxies="10.0.0.1")) is None


def test_user_agent():
    settings = Settings(enrich_user_agent=True)
    (found,) = made(settings, request(), {"properties": {"a": 1}})
    assert found == {"a": 1, **OF_IPHONE}
    (found,) = made(settings, request(CHROME), {})
    assert found == {
        "$browser": "Chrome",
        "$browser_version": "130",
        "$os": "Windows",
        "$os_version": "10",
        "$device_type": "Desktop",
    }


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605 Safari/604", "Tablet"),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537 Chrome/120 Safari/537",
            "Tablet",
        ),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537 Chrome/120 Mobile", "Mobile"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Bot"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Safari/605", "Desktop"),
    ],
)
def test_kinds_of_devices(agent, kind):
    (found,) = made(Settings(enrich_user_agent=True), request(agent), {})
    assert found["$device_type"] == kind


@pytest.mark.parametrize(
    "agent",
    [
        None,
        "",
        "python-requests/2.32",
        "Python-urllib/3.11",
        "node",
        "Go-http-client/1.1",
        "axios/1",
    ],
)
def test_a_server_tells_nothing_of_a_person(agent, regions):
    settings = Settings(enrich_user_agent=True, ip_regions=regions, store_ip=True)
    assert made(settings, request(agent), {"properties": {"a": 1}}) == [{"a": 1}]


@pytest.mark.parametrize(
    "agent", ["x" * 100_000, "\x00\xff", "Mozilla/5.0 (" + "; " * 200, "((((("]
)
def test_odd_user_agents(agent):
    (found,) = made(Settings(enrich_user_agent=True), request(agent), {"properties": {"a": 1}})
    assert found["a"] == 1


def test_regions_and_their_language(regions):
    assert made(Settings(ip_regions=regions), request(), {}) == [JINAN]
    chinese = Settings(ip_regions=regions, region_language="zh-CN")
    expected = {"$country": "中国", "$province": "山东", "$city": "济南"}
    assert made(chinese, request(), {}) == [expected]
    french = Settings(ip_regions=regions, region_language="fr")
    assert made(french, request(peer="2001:db8::1"), {}) == [JINAN]
    flat = {"$country": "DE", "$province": "Bayern", "$city": "Munich"}
    assert made(Settings(ip_regions=regions), request(peer="198.51.100.1"), {}) == [flat]
    for peer in ("192.0.2.1", "8.8.8.8", "local", "", "::ffff:8.8.8.8", "fe80::1%eth0"):
        assert made(Settings(ip_regions=regions), request(peer=peer), {}) == [{}]
    assert made(Settings(ip_regions=regions), request(peer="::ffff:203.0.113.9"), {}) == [JINAN]


def test_addresses_are_kept_only_when_asked_for(regions):
    own, none = {"properties": {"$ip": "198.51.100.9"}}, {"properties": {"$ip": None}}
    kept = Settings(store_ip=True)
    assert made(kept, request(), {}, own) == [{"$ip": "203.0.113.7"}, {"$ip": "198.51.100.9"}]
    placed = made(Settings(ip_regions=regions), request(), {}, own, none)
    assert [one.get("$city") for one in placed] == ["Jinan", "Munich", None]
    assert not any("$ip" in one for one in placed)
    only_agent = Settings(enrich_user_agent=True)
    assert made(only_agent, request(agent="node"), own) == [{}]
    server = made(Settings(ip_regions=regions), request(agent="node"), own, {})
    assert [one.get("$city") for one in server] == ["Munich", None]


def test_what_an_event_has_is_not_replaced(regions):
    settings = Settings(enrich_user_agent=True, ip_regions=regions)
    theirs = {"$browser": "WeChat", "$browser_version": 8, "$city": "Qingdao", "$os": ""}
    (found,) = made(settings, request(), {"properties": theirs})
    assert found == {**OF_IPHONE, **JINAN, **theirs}


def test_profiles_are_left_alone():
    events = [
        {"type": "profile_set", "properties": {"level": 1}},
        {"type": "profile_delete", "properties": {}},
    ]
    add = enrich.enricher(Settings(enrich_user_agent=True))
    before = Taken(events=packed(events))
    assert add(before, request()).events == before.events


def test_events_of_the_largest_size_stay_acceptable():
    """Enrichment must never be why an event or a batch is refused."""
    many = {f"p{i}": i for i in range(DEFAULT_LIMITS.event_properties - 2)}
    assert made(Settings(enrich_user_agent=True), request(), {"properties": many}) == [many]
    events = [
        {"event": "go", "time": 1, "user_id": "u", "properties": {str(n): n for n in range(10)}}
        for _ in range(2_000)
    ]
    (full,) = packed(events)
    parts = enrich.enricher(Settings(enrich_user_agent=True))(
        Taken(events=[full]), request()
    ).events
    assert sum(part.count for part in parts) == 2_000
    assert len(parts) > 1
    for part in parts:
        assert part.items <= DEFAULT_LIMITS.batch_items
        assert len(part.data) <= DEFAULT_LIMITS.batch_bytes
    batch = msgpack.packb({"batch_id": "b", "events": events})
    taken = enrich.enricher(Settings(enrich_user_agent=True))(Taken(batches=[batch]), request())
    assert taken.batches == [batch]


EVENT = {"event": "go", "time": "2026-10-01T00:00:00Z", "user_id": "u", "properties": {"a": 1.5}}


@pytest.mark.parametrize(
    "batch",
    [
        json.dumps(EVENT).encode(),
        json.dumps([EVENT]).encode(),
        json.dumps({"batch_id": "b", "events": [EVENT]}).encode(),
        b" " + json.dumps(EVENT).encode() + b"\n\n" + json.dumps(EVENT).encode() + b"\n",
        msgpack.packb([EVENT, {**EVENT, "time": msgpack.Timestamp(5, 1)}]),
        msgpack.packb({"events": [EVENT], "batch_id": "b", "sent_at": 5}),
    ],
)
def test_native_batches_in_every_form(batch):
    add = enrich.enricher(Settings(enrich_user_agent=True))
    (found,) = add(Taken(batches=[batch]), request(path="/v1/events")).batches
    value = msgpack.unpackb(found)
    if b"batch_id" in batch:
        assert value.pop("batch_id") == "b"
    events = value["events"] if isinstance(value, dict) else value
    assert len(events) == max(1, batch.count(b"user_id"))
    for event in events:
        assert event["properties"] == {"a": 1.5, **OF_IPHONE}


@pytest.mark.parametrize(
    "batch",
    [
        b"",
        b"[",
        b"\xc1",
        b"{}",
        b'{"events": 7}',
        b'{"event": "a", "event": "b"}',
        b'[{"event": "a", "properties": {"x": NaN}}]',
        b'[{"event": "a", "properties": {"x": 1, "x": 2}}]',
        b'[{"event": "a", "properties": {"x": 99999999999999999999}}]',
        b'[{"event": "\xff"}]',
        b"[" * 2_000,
        b"[7, null, []]",
        b"\x91" * 5_000,
        msgpack.packb(7),
        msgpack.packb([EVENT])[:-3],
        b"\x91\x82\xa1a\x01\xa1a\x02",
    ],
)
def test_what_the_engine_refuses_is_left_for_it(batch):
    add = enrich.enricher(Settings(enrich_user_agent=True))
    (found,) = add(Taken(batches=[batch]), request()).batches
    if batch not in (b"{}", b'{"events": 7}', b"[7, null, []]", msgpack.packb(7)):
        assert found == batch


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\xaaproperties\x82\xa1a\x01\xa1a\x02",
        b"\x81\xaaproperties\x07",
        b"\x81\xaaproperties\xc0",
        b"\x07",
        b"\x90",
        b"\x81\xa5event\xa1\xff",
        b"\x81\xc0\x01",
        b"\x91" * 3_000 + b"\x01",
        b"\x82\xa1a",
    ],
)
def test_events_that_the_engine_refuses_are_left_for_it(data):
    from zuji.server.collector.message import Events

    add = enrich.enricher(Settings(enrich_user_agent=True, store_ip=True))
    found = add(Taken(events=[Events(1, 3, data)]), request()).events
    assert sum(part.count for part in found) in (0, 1)
    if data not in (b"\x81\xa5event\xa1\xff", b"\x81\xc0\x01"):
        assert b"".join(part.data for part in found) in (data, b"")


@pytest.mark.parametrize(
    ("trusted", "peer", "said", "client"),
    [
        ("", "203.0.113.7", None, "203.0.113.7"),
        ("", "10.0.0.1", "1.1.1.1", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "203.0.113.7", "1.1.1.1", "203.0.113.7"),
        ("10.0.0.0/8", "10.9.9.9", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.0/8", "10.9.9.9", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1, ::1", "::1", "2001:DB8::1", "2001:db8::1"),
        ("10.0.0.1", "10.0.0.1", "unknown", ""),
        ("10.0.0.1", "10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1", ", ,", "10.0.0.1"),
        ("10.0.0.1", "::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"),
    ],
)
def test_whom_a_proxy_speaks_for(trusted, peer, said, client):
    headers = {} if said is None else {"x_forwarded_for": said.encode()}
    found = enrich.client_address(request(peer=peer, **headers), enrich.networks(trusted))
    assert found == client


def test_wrong_settings_say_what_to_do(tmp_path, monkeypatch):
    bad = tmp_path / "bad.mmdb"
    bad.write_bytes(b"nonsense" * 100)
    for settings, words in (
        (Settings(ip_regions=str(tmp_path / "none")), "none: No such file"),
        (Settings(ip_regions=str(bad)), "is not a MaxMind database"),
        (Settings(store_ip=True, trusted_proxies="10.0.0.0/99"), "not '10.0.0.0/99'"),
    ):
        with pytest.raises(InvalidInput, match=words):
            enrich.enricher(settings)
    monkeypatch.setitem(sys.modules, "ua_parser", None)
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    for settings in (Settings(enrich_user_agent=True), Settings(ip_regions=str(bad))):
        with pytest.raises(InvalidInput, match=r"pip install 'zuji\[enrich\]'"):
            enrich.enricher(settings)
