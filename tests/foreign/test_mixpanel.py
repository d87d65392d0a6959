"""Mixpanel's SDKs, as published, against a live collector: what they send is what is stored."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.foreign.npm import TELL_ERRORS

mixpanel = pytest.importorskip("mixpanel")


def consumer(live, kind=mixpanel.BufferedConsumer, **more):
    urls = {f"{n}_url": f"{live.url}/{p}" for n, p in PATHS.items()}
    return kind(**urls, **more)


PATHS = {"events": "track", "people": "engage", "groups": "groups", "import": "import"}


def by_event(rows):
    assert len({row["event"] for row in rows}) == len(rows)
    return {row["event"]: row for row in rows}


def test_python(live):
    buffered = consumer(live)
    sdk = mixpanel.Mixpanel(live.key, consumer=buffered)
    before = time.time()
    sdk.track(
        "ann",
        "apply + pay",
        {
            "amount": 12.5,
            "terms": 24,
            "gold": True,
            "city": "济南 😀 a+b&c=d%",
            "tags": ["a", "b"],
            "within": {"a": [1, None]},
            "nothing": None,
            "ip": "10.1.2.3",
        },
    )
    sdk.track("bo", "first", {"$device_id": "dev", "$user_id": "bo"})
    sdk.track("$device:dev", "anonymous", {"$device_id": "dev"})
    sdk.import_data("", "old", "long ago", 1_700_000_000, {"n": 1}, api_secret=live.key)
    sdk.merge("", "ann", "$device:other", api_secret=live.key)
    alias = {"distinct_id": "anon-1", "alias": "cy", "token": live.key}
    buffered.send("events", json.dumps({"event": "$create_alias", "properties": alias}))
    sdk.people_set("ann", {"$name": "Ann", "level": 1, "born": "1980-01-01"})
    sdk.people_set_once("ann", {"level": 9, "first": "x"})
    sdk.people_increment("ann", {"level": 2, "visits": 1})
    sdk.people_append("ann", {"items": "one"})
    sdk.people_union("ann", {"items": ["one", "two"]})
    sdk.people_unset("ann", ["born"])
    sdk.people_remove("ann", {"items": "one"})
    sdk.people_set("gone", {"a": 1})
    sdk.people_delete("gone")
    sdk.group_set("company", "acme", {"size": 7})
    buffered.flush()
    after = time.time()

    rows = by_event(live.events())
    row = rows["apply + pay"]
    assert before - 1 <= row["time"].timestamp() <= after
    assert {k: v for k, v in row.items() if k not in ("time", "event")} == {
        "user_id": "ann",
        "amount": 12.5,
        "terms": 24,
        "gold": True,
        "city": "济南 😀 a+b&c=d%",
        "tags": ["a", "b"],
        "within": '{"a":[1,null]}',
        "$lib": "python",
        "$lib_version": mixpanel.__version__,
    }
    assert (rows["first"]["user_id"], rows["first"]["device_id"]) == ("bo", "dev")
    assert rows["anonymous"].get("device_id") == "dev"
    assert rows["long ago"]["time"] == datetime.fromtimestamp(1_700_000_000, UTC)
    assert rows["$merge"]["$distinct_ids"] == ["ann", "$device:other"]
    assert (rows["$merge"]["user_id"], rows["$merge"]["device_id"]) == ("ann", "other")
    assert (rows["$create_alias"]["user_id"], rows["$create_alias"]["alias"]) == ("cy", "cy")
    assert rows["$create_alias"]["device_id"] == rows["$create_alias"]["distinct_id"] == "anon-1"
    assert len(rows) == 6
    profiles = live.profiles()
    assert profiles["ann"] == {
        "_$name": "Ann",
        "level": 3,
        "first": "x",
        "visits": 1,
        "items": ["one", "two"],
    }
    assert "gone" not in profiles or profiles["gone"] == {}
    kept = live.quarantined()
    assert sorted(one["reason"] for one in kept) == ["kept_group", "unsupported"]
    (left,) = [one["event"] for one in kept if one["reason"] == "unsupported"]
    assert left["$remove"] == {"items": "one"}
    assert live.key not in str(kept)


def test_python_keeps_its_buffer_when_the_server_is_killed(live):
    buffered = consumer(live)
    sdk = mixpanel.Mixpanel(live.key, consumer=buffered)
    sent = 0
    for cycle in range(3):
        for _ in range(120):
            if sent % 50 == 25:
                live.stop(signal.SIGKILL)
            try:
                sdk.track(f"u{sent % 7}", "go", {"n": sent})
            except mixpanel.MixpanelException:
                live.start()
                buffered.flush()
            sent += 1
        if live.process is None:
            live.start()
        buffered.flush()
        assert cycle < 3
    rows = live.events("go")
    assert Counter(row["n"] for row in rows) == dict.fromkeys(range(sent), 1)


def test_python_is_told_that_its_token_is_wrong(live):
    sdk = mixpanel.Mixpanel("nobody", consumer=consumer(live, mixpanel.Consumer))
    with pytest.raises(mixpanel.MixpanelException, match="key"):
        sdk.track("ann", "go")
    with pytest.raises(mixpanel.MixpanelException, match="key"):
        sdk.people_set("ann", {"a": 1})


def test_a_batch_sent_twice_is_stored_once(live):
    """As when an answer is lost: the SDK sends the same again, numbers added included."""
    buffered = consumer(live)
    sdk = mixpanel.Mixpanel(live.key, consumer=buffered)
    messages = []
    plain = buffered._consumer.send
    buffered._consumer.send = lambda *a, **k: (messages.append((a, k)), plain(*a, **k))
    sdk.track("ann", "go", {"n": 1})
    sdk.people_increment("ann", {"visits": 2})
    sdk.people_append("ann", {"items": "one"})
    buffered.flush()
    for arguments, named in messages:
        plain(*arguments, **named)
    assert len(messages) == 2
    assert len(live.events("go")) == 1
    assert live.profiles()["ann"] == {"visits": 2, "items": ["one"]}


NODE = """
import Mixpanel from 'mixpanel';
const [url, token] = process.argv.slice(2);
const { hostname, port } = new URL(url);
const errors = [];
const client = (verbose) => Mixpanel.init(token,
  { host: hostname, port, protocol: 'http', verbose, key: 'unused' });
const done = (call) => new Promise((resolve) => call((error) => {
  if (error) errors.push(String(error));
  resolve();
}));
for (const verbose of [false, true]) {
  const sdk = client(verbose);
  const n = Number(verbose);
  await done((end) => sdk.track('one ' + n, { distinct_id: 'ann', $insert_id: 'i' + n, n,
    city: '济南 😀', tags: ['a'], within: { a: 1 } }, end));
  await done((end) => sdk.track('unnamed', {}, end));
  await done((end) => sdk.track('long ' + n, { distinct_id: 'ann', text: '+'.repeat(8000) }, end));
  await done((end) => sdk.track_batch([
    { event: 'two ' + n, properties: { distinct_id: 'ann', time: new Date(1790827200000), n } },
    { event: 'three ' + n, properties: { distinct_id: 'ann', text: 'x'.repeat(300) } },
  ], end));
  await done((end) => sdk.import('old ' + n, new Date(1700000000000), { distinct_id: 'bo' }, end));
  await done((end) => sdk.people.set('ann', { first: 'A+B', n }, end));
  await done((end) => sdk.people.set_once('ann', { first: 'B', once: 'yes' }, end));
  await done((end) => sdk.people.increment('ann', { visits: 1 }, end));
  await done((end) => sdk.people.append('ann', { items: 'v' + n }, end));
  await done((end) => sdk.people.union('ann', { items: ['v0', 'w'] }, end));
  await done((end) => sdk.people.unset('ann', ['n'], end));
  await done((end) => sdk.people.track_charge('ann', 9.5, { $time: '2026-10-01T00:00:00' }, end));
  await done((end) => sdk.people.remove('ann', { items: 'w' }, end));
  await done((end) => sdk.groups.set('company', 'acme', { size: 3 }, end));
  await done((end) => sdk.alias('bo', 'cy', end));
}
const wrong = Mixpanel.init('nobody', { host: hostname, port, protocol: 'http', verbose: true });
let refused = '';
await new Promise((resolve) => wrong.track('x', { distinct_id: 'a' },
  (error) => { refused = String(error); resolve(); }));
console.log(JSON.stringify({ errors, refused }));
"""


def test_node(live, npm, tmp_path):
    said = npm.run(tmp_path, NODE, live.url, live.key)
    assert said["errors"] == []
    assert "key" in said["refused"]
    rows = live.events()
    names = Counter(row["event"] for row in rows)
    for n in (0, 1):
        assert (names[f"one {n}"], names[f"two {n}"], names[f"three {n}"]) == (1, 1, 1)
        assert names[f"old {n}"] == names[f"long {n}"] == 1
    assert names["$create_alias"] == 2
    one = next(row for row in rows if row["event"] == "one 1")
    version = json.loads((npm.modules / "mixpanel" / "package.json").read_text())["version"]
    assert {k: v for k, v in one.items() if k not in ("time", "event")} == {
        "user_id": "ann",
        "n": 1,
        "city": "济南 😀",
        "tags": ["a"],
        "within": '{"a":1}',
        "$lib": "node",
        "$lib_version": version,
    }
    two = next(row for row in rows if row["event"] == "two 0")
    assert two["time"] == datetime.fromtimestamp(1_790_827_200, UTC)
    old = next(row for row in rows if row["event"] == "old 0")
    assert old["time"] == datetime.fromtimestamp(1_700_000_000, UTC)
    profile = live.profiles()["ann"]
    charges = profile.pop("$transactions")
    assert profile == {"first": "A+B", "once": "yes", "visits": 2, "items": ["v0", "w", "v1"]}
    assert json.loads(charges[0])["$amount"] == 9.5
    reasons = Counter(one["reason"] for one in live.quarantined())
    assert reasons == {"missing_id": 2, "kept_group": 2, "unsupported": 2}


PAGE = """
import mixpanel from 'mixpanel-browser';
const [url, token] = [__URL__, __TOKEN__];
const errors = [];
mixpanel.init(token, { api_host: url, persistence: 'localStorage', batch_flush_interval_ms: 200,
  track_pageview: false, ip: false, flags: true, error_reporter: (m) => errors.push(String(m)),
  remote_settings_mode: 'fallback' });
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const emptied = async () => {
  for (let i = 0; i < 200; i++) {
    const queues = Object.keys(localStorage).filter((k) => /^__mpq_.*_(ev|pp|gr)$/.test(k));
    if (queues.every((k) => JSON.parse(localStorage.getItem(k)).length === 0)) return;
    await wait(50);
  }
  errors.push('queue was not emptied');
};
(async () => {
  mixpanel.track('look', { n: 1, city: '济南 😀' });
  await emptied();
  mixpanel.identify('ann');
  mixpanel.track('apply', { amount: 12.5, tags: ['a', 'b'], within: { a: 1 } });
  mixpanel.people.set({ $name: 'Ann', level: 1 });
  mixpanel.people.set_once({ level: 5, first: 'x' });
  mixpanel.people.increment('visits', 2);
  mixpanel.people.append('items', 'one');
  mixpanel.people.union('items', ['one', 'two']);
  mixpanel.people.remove('items', 'two');
  mixpanel.get_group('company', 'acme').set({ size: 3 });
  await new Promise((end) => mixpanel.track('at once', {}, { send_immediately: true }, end));
  mixpanel.alias('ann-2');
  await emptied();
  mixpanel.track('leaving', {}, { transport: 'sendBeacon' });
  await wait(300);
  await emptied();
  fetch('/done', { method: 'POST', body: JSON.stringify({ errors, device:
    mixpanel.get_property('$device_id') }) });
})();
"""


def test_browser(live, npm, page, tmp_path):
    code = PAGE.replace("__URL__", json.dumps(live.url)).replace("__TOKEN__", json.dumps(live.key))
    html = f"<!doctype html><title>Bank</title>{TELL_ERRORS}<script src=/bundle.js></script>"
    told = page({"/": html, "/bundle.js": npm.bundle(tmp_path, code)})
    assert told["errors"] == []
    device = told["device"]
    events = live.events()
    identified = [row for row in events if row["event"] == "$identify"]
    rows = by_event([row for row in events if row["event"] != "$identify"])
    assert {"look", "apply", "at once", "leaving", "$create_alias"} == set(rows)
    look = rows["look"]
    assert look["device_id"] == device
    assert look["user_id"] == "ann"  # who logged in later
    assert (look["n"], look["city"], look["$lib"]) == (1, "济南 😀", "web")
    assert look["$lib_version"] == "2.83.0"
    assert look["$browser"] == "Chrome"
    apply = rows["apply"]
    assert (apply["user_id"], apply["device_id"], apply["amount"]) == ("ann", device, 12.5)
    assert (apply["tags"], apply["within"]) == (["a", "b"], '{"a":1}')
    assert [(row["user_id"], row["device_id"]) for row in identified] == [
        ("ann", device),
        ("ann-2", device),
    ]
    assert identified[0]["$anon_distinct_id"] == f"$device:{device}"
    assert (rows["$create_alias"]["alias"], rows["$create_alias"]["distinct_id"]) == (
        "ann-2",
        "ann",
    )
    (profile,) = live.profiles().values()
    assert {k: profile[k] for k in ("_$name", "level", "first", "visits", "items")} == {
        "_$name": "Ann",
        "level": 1,
        "first": "x",
        "visits": 2,
        "items": ["one", "two"],
    }
    reasons = Counter(one["reason"] for one in live.quarantined())
    assert reasons == {"kept_group": 1, "unsupported": 1}
