"""Amplitude's SDKs, as published, against a live collector: what they send is what is stored."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter

import pytest

from tests.foreign.npm import TELL_ERRORS

amplitude = pytest.importorskip("amplitude")


def client(live, key=None, path="/2/httpapi", **more):
    url = live.url + path
    config = amplitude.Config(server_url=url, flush_interval_millis=200, **more)
    return amplitude.Amplitude(key or live.key, config)


def named(rows, event):
    (row,) = [row for row in rows if row["event"] == event]
    return row


def plain(row, *but):
    return {k: v for k, v in row.items() if k not in ("event", "time", *but)}


@pytest.mark.parametrize("path", ["/2/httpapi", "/batch"])
def test_python(live, path):
    sdk = client(live, path=path)
    now = int(time.time() * 1000)
    sdk.track(
        amplitude.BaseEvent(
            "apply",
            user_id="ann",
            device_id="phone",
            time=now - 5000,
            session_id=now - 60_000,
            app_version="3.1",
            platform="iOS",
            os_name="ios",
            os_version="18",
            device_brand="Apple",
            carrier="CMCC",
            region="Shandong",
            city="济南 😀",
            price=9.5,
            quantity=2,
            revenue=19.0,
            product_id="loan",
            revenue_type="fee",
            location_lat=36.6,
            ip="10.1.2.3",
            event_properties={
                "amount": 12.5,
                "terms": 24,
                "gold": True,
                "tags": ["a", "b"],
                "within": {"a": [1, {"b": 2}]},
                "$time": "x",
            },
            user_properties={"level": "gold"},
            groups={"company": "acme"},
        )
    )
    sdk.track(amplitude.BaseEvent("anonymous", device_id="phone"))
    whose = amplitude.EventOptions(user_id="ann", device_id="phone")
    change = amplitude.Identify()
    change.set("a", 1).set_once("b", "x").add("n", 3).append("list", "one").post_insert("more", "m")
    change.unset("gone").prepend("list2", "p").pre_insert("list3", "q").remove("list4", "r")
    sdk.identify(change, whose)
    sdk.revenue(amplitude.Revenue(price=3.0, quantity=4, product_id="card"), whose)
    sdk.group_identify("company", "acme", amplitude.Identify().set("size", 7), whose)
    sdk.set_group("company", "acme", whose)
    sdk.track(amplitude.BaseEvent("bye", user_id="bo", user_properties={"x": 1}))
    sdk.shutdown()
    live.wait_for(11, "amplitude" if path != "/batch" else "batch")

    rows = live.events()
    assert Counter(row["event"] for row in rows) == {
        "apply": 1,
        "anonymous": 1,
        "$identify": 2,
        "$groupidentify": 1,
        "revenue_amount": 1,
        "bye": 1,
    }
    row = named(rows, "apply")
    assert int(row["time"].timestamp() * 1000) == now - 5000
    assert plain(row, "$lib_version", "$event_id") == {
        "user_id": "ann",
        "device_id": "phone",
        "amount": 12.5,
        "terms": 24,
        "gold": True,
        "tags": ["a", "b"],
        "within": '{"a":[1,{"b":2}]}',
        "_$time": "x",
        "$session_id": now - 60_000,
        "$app_version": "3.1",
        "$platform": "iOS",
        "$os": "ios",
        "$os_version": "18",
        "$brand": "Apple",
        "$carrier": "CMCC",
        "$province": "Shandong",
        "$city": "济南 😀",
        "$price": 9.5,
        "$quantity": 2,
        "$revenue": 19.0,
        "$product_id": "loan",
        "$revenue_type": "fee",
        "$latitude": 36.6,
        "$groups": '{"company":"acme"}',
        "$lib": "amplitude-python",
    }
    assert plain(named(rows, "anonymous"))["device_id"] == "phone"
    assert named(rows, "anonymous")["user_id"] == "ann"  # who logged in later
    revenue = named(rows, "revenue_amount")
    assert (revenue["$price"], revenue["$quantity"], revenue["$productId"]) == (3.0, 4, "card")
    group = named(rows, "$groupidentify")
    assert group["$group_properties"] == '{"$set":{"size":7}}'
    profiles = live.profiles()
    assert profiles["ann"] == {
        "level": "gold",
        "a": 1,
        "b": "x",
        "n": 3,
        "list": ["one"],
        "more": ["m"],
        "company": "acme",
    }
    assert profiles["bo"] == {"x": 1}
    kept = live.quarantined()
    assert Counter(one["reason"] for one in kept) == {"unsupported": 3}
    assert {name for one in kept for name in one["event"]["user_properties"]} == {
        "$prepend",
        "$preInsert",
        "$remove",
    }


def test_python_sends_again_what_was_not_acknowledged(live):
    done, lock = Counter(), threading.Lock()

    def told(event, code, _message):
        with lock:
            done[event.event_properties["n"], code] += 1

    sdk = client(live, callback=told, flush_queue_size=20)
    sent = 0
    for _ in range(3):
        live.stop(signal.SIGKILL)
        for _ in range(70):
            sdk.track(amplitude.BaseEvent("go", user_id="ann", event_properties={"n": sent}))
            sent += 1
        time.sleep(0.3)
        live.start()
        until = time.monotonic() + 30
        while sum(done.values()) < sent:
            sdk.flush()
            assert time.monotonic() < until, len(done)
            time.sleep(0.1)
    sdk.shutdown()
    assert done == {(n, 200): 1 for n in range(sent)}
    assert Counter(row["n"] for row in live.events("go")) == dict.fromkeys(range(sent), 1)


def test_python_drops_what_a_wrong_key_sends(live):
    told = []
    sdk = client(live, key="nobody", callback=lambda event, code, message: told.append(message))
    sdk.track(amplitude.BaseEvent("go", user_id="ann"))
    future = sdk.flush()
    assert future is None or future[0].result() is None
    sdk.shutdown()
    assert live.metric("zuji_requests_refused_total", protocol="amplitude") >= 0
    assert live.events() == []


NODE = """
import * as amplitude from '@amplitude/analytics-node';
const [url, key, path] = process.argv.slice(2);
const results = [];
await amplitude.init(key, { serverUrl: url + path, flushIntervalMillis: 50, flushQueueSize: 20,
  flushMaxRetries: 20, minIdLength: 2, logLevel: 0 }).promise;
const note = async (made) => results.push((await made.promise).code);
const who = { user_id: 'ann', device_id: 'phone' };
const change = new amplitude.Identify();
change.set('a', 1).setOnce('b', 'x').add('n', 3).append('list', 'one').postInsert('more', 'm');
change.unset('gone').remove('list4', 'r');
await Promise.all([
  note(amplitude.track('apply', { amount: 12.5, city: '济南 😀', tags: ['a'], within: { a: 1 } },
    { ...who, time: 1790827200000, price: 2, app_version: '3.1' })),
  note(amplitude.track('too short', {}, { user_id: 'x' })),
  note(amplitude.identify(change, who)),
  note(amplitude.groupIdentify('company', 'acme', new amplitude.Identify().set('size', 7), who)),
  note(amplitude.revenue(new amplitude.Revenue().setPrice(3).setQuantity(4), who)),
]);
console.log(JSON.stringify(results));
"""


def test_node(live, npm, tmp_path):
    assert npm.run(tmp_path, NODE, live.url, live.key, "/2/httpapi") == [200] * 5
    rows = live.events()
    row = named(rows, "apply")
    version = json.loads((npm.modules / "@amplitude/analytics-node/package.json").read_text())
    assert row["$lib"] == "amplitude-node-ts"
    assert row["$lib_version"] == version["version"]
    expected = {
        "user_id": "ann",
        "device_id": "phone",
        "amount": 12.5,
        "city": "济南 😀",
        "tags": ["a"],
        "within": '{"a":1}',
        "$price": 2,
        "$app_version": "3.1",
    }
    assert {k: row[k] for k in expected} == expected
    assert row["time"].timestamp() == 1_790_827_200
    assert Counter(row["event"] for row in rows) == dict.fromkeys(
        ["apply", "$identify", "$groupidentify", "revenue_amount"], 1
    )
    assert live.profiles()["ann"] == {"a": 1, "b": "x", "n": 3, "list": ["one"], "more": ["m"]}
    reasons = Counter(one["reason"] for one in live.quarantined())
    assert reasons == {"unsupported": 1, "id_too_short": 1}


LOAD = """
import * as amplitude from '@amplitude/analytics-node';
const [url, key] = process.argv.slice(2);
await amplitude.init(key, { serverUrl: url + '/2/httpapi', flushIntervalMillis: 20,
  flushQueueSize: 10, flushMaxRetries: 100, logLevel: 0 }).promise;
const codes = [];
const all = [];
const wait = (ms) => new Promise((end) => setTimeout(end, ms));
for (let n = 0; n < 400; n++) {
  all.push(amplitude.track('go', { n }, { user_id: 'ann' + n % 7 }).promise
    .then((r) => { codes[n] = r.code; }));
  if (n % 10 === 0) await wait(20);
  if (n === 100 || n === 250) {
    console.log('kill');
    await new Promise((end) => process.stdin.once('data', end));
    await wait(200);
  }
}
await Promise.all(all);
console.log(JSON.stringify(codes));
process.exit();
"""


def test_what_node_is_told_is_stored_once_while_the_server_is_killed(live, npm, tmp_path):
    """This SDK gives up what a broken connection had (code 0): that may be stored or not."""
    process = npm.script(tmp_path, LOAD, live.url, live.key)
    for _ in range(2):
        assert process.stdout.readline() == "kill\n"
        live.stop(signal.SIGKILL)
        live.start()
        process.stdin.write("on\n")
        process.stdin.flush()
    codes = json.loads(process.stdout.readline())
    assert process.wait(60) == 0
    process.communicate()
    assert set(codes) <= {0, 200}
    assert codes.count(200) > 200
    seen = Counter(row["n"] for row in live.events("go"))
    assert set(seen.values()) == {1}
    assert {n for n, code in enumerate(codes) if code == 200} <= set(seen)


PAGE = """
import * as amplitude from '@amplitude/analytics-browser';
const [url, key] = [__URL__, __KEY__];
(async () => {
  const codes = [];
  const note = async (made) => codes.push((await made.promise).code);
  await amplitude.init(key, undefined, { serverUrl: url + '/2/httpapi', flushIntervalMillis: 100,
    autocapture: { pageViews: true, sessions: true, attribution: true, formInteractions: false },
    remoteConfig: { serverUrl: url + '/amplitude/config' }, logLevel: 0 }).promise;
  await note(amplitude.track('look', { n: 1, city: '济南 😀' }));
  amplitude.setUserId('ann-1');
  await Promise.all([
    note(amplitude.track('apply', { amount: 12.5, tags: ['a', 'b'], within: { a: 1 } })),
    note(amplitude.identify(new amplitude.Identify().set('level', 1).add('visits', 2)
      .append('items', 'one').prepend('other', 'x'))),
    note(amplitude.revenue(new amplitude.Revenue().setPrice(3).setQuantity(4))),
  ]);
  amplitude.setTransport('beacon');
  amplitude.track('leaving');
  amplitude.flush();
  await new Promise((end) => setTimeout(end, 500));
  fetch('/done', { method: 'POST', body: JSON.stringify({ codes,
    device: amplitude.getDeviceId(), session: amplitude.getSessionId() }) });
})();
"""


def test_browser(live, npm, page, tmp_path):
    code = PAGE.replace("__URL__", json.dumps(live.url)).replace("__KEY__", json.dumps(live.key))
    html = f"<!doctype html><title>Bank</title>{TELL_ERRORS}<script src=/bundle.js></script>"
    told = page({"/": html, "/bundle.js": npm.bundle(tmp_path, code)})
    assert told["codes"] == [200] * 4
    rows = live.events()
    look = named(rows, "look")
    assert look["user_id"] == "ann-1"  # who logged in later
    assert (look["device_id"], look["$session_id"]) == (told["device"], told["session"])
    assert (look["n"], look["city"], look["$lib"]) == (1, "济南 😀", "amplitude-ts")
    assert look["$language"]
    assert "$ip" not in look
    apply = named(rows, "apply")
    assert (apply["user_id"], apply["device_id"]) == ("ann-1", told["device"])
    assert (apply["amount"], apply["tags"], apply["within"]) == (12.5, ["a", "b"], '{"a":1}')
    assert named(rows, "leaving")["user_id"] == "ann-1"
    assert {"[Amplitude] Page Viewed", "session_start"} <= {row["event"] for row in rows}
    profiles = live.profiles()
    profile = profiles["ann-1"]
    assert (profile["level"], profile["visits"], profile["items"]) == (1, 2, ["one"])
    assert profile["initial_referrer"] == "EMPTY"  # said before the customer was known
    (kept,) = live.quarantined()
    assert kept["reason"] == "unsupported"
    assert "ip" not in kept["event"]
