"""Segment's and RudderStack's SDKs from npm, in Node and in headless Chromium, against the
collector.
"""

from __future__ import annotations

import json
import signal
from collections import Counter

import pytest

from tests.foreign.npm import TELL_ERRORS

SEGMENT = """
import { Analytics } from '@segment/analytics-node';
const [url, key, count] = process.argv.slice(2);
const errors = [];
const one = new Analytics({writeKey: key, host: url, flushAt: 10, flushInterval: 50,
  maxRetries: 20});
one.on('error', (e) => errors.push(String(e.reason || e.code)));
const end = () => one.closeAndFlush({timeout: 60000});
"""
RUDDER = """
import Rudder from '@rudderstack/rudder-sdk-node';
const [url, key, count] = process.argv.slice(2);
const errors = [];
const one = new (Rudder.default || Rudder)(key, {dataPlaneUrl: url, flushAt: 10,
  flushInterval: 50, logLevel: 'none', retryCount: 20});
let open = 0;  // flush() ends when one batch is sent, so the events' own callbacks are counted
for (const call of ['track', 'identify', 'page', 'screen', 'group', 'alias']) {
  const send = one[call].bind(one);
  one[call] = (message) => {
    open++;
    send(message, (e) => { open--; if (e) errors.push(String(e)); });
  };
}
const end = async () => {
  while (open) {
    one.flush().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
"""
CALLS = """
one.track({userId: 'u1', anonymousId: 'd1', event: 'bought', messageId: 'm-1',
  timestamp: new Date('2026-10-01T04:00:00.123Z'),
  properties: {n: 1, sum: 12.5, city: '济南 😀', tags: ['a', ''], nested: {a: [1]}, none: null},
  context: {app: {version: '2.3.4'}, ip: '192.0.2.7', locale: 'zh-CN'}});
one.identify({userId: 'u1', anonymousId: 'd1', traits: {level: 'gold'}});
one.page({anonymousId: 'd1', name: 'Home', category: 'shop', properties: {url: 'https://a/'}});
one.screen({anonymousId: 'd1', name: 'Start', properties: {n: 2}});
one.group({userId: 'u1', groupId: 'g1', traits: {plan: 'pro'}});
one.alias({userId: 'u1', previousId: 'd0'});
await end();
console.log(JSON.stringify(errors));
process.exit(0);
"""
ENDLESS = """
for (let n = 0; n < count; n++) {
  one.track({userId: 'u' + n % 7, event: 'e', properties: {n}});
  await new Promise((resolve) => setTimeout(resolve, 3));
}
await end();
console.log(JSON.stringify(errors));
process.exit(0);
"""
NODE = {"@segment/analytics-node": SEGMENT, "@rudderstack/rudder-sdk-node": RUDDER}


@pytest.mark.parametrize("package", NODE)
def test_node_is_stored_field_by_field(live, npm, tmp_path, package):
    assert npm.run(tmp_path, NODE[package] + CALLS, live.url, live.key) == []
    live.wait_for(7, "segment")
    found = live.events()
    for row in found:
        assert row.pop("$lib") in ("@segment/analytics-node", "analytics-node")
        assert row.pop("$lib_version") == _version(npm, package)
        assert row.pop("channel", "server") == "server"
    rows = {row["event"]: row for row in found}
    assert len(rows) == len(found) == 6
    bought = rows["bought"]
    assert bought.pop("time").isoformat() == "2026-10-01T04:00:00.123000+00:00"
    assert bought == {
        "event": "bought",
        "user_id": "u1",
        "device_id": "d1",
        "n": 1,
        "sum": 12.5,
        "city": "济南 😀",
        "tags": ["a", ""],
        "nested": '{"a":[1]}',
        "$app_version": "2.3.4",
        "context.locale": "zh-CN",
    }
    rest = {name: {k: v for k, v in row.items() if k != "time"} for name, row in rows.items()}
    assert rest["$identify"] == {
        "event": "$identify",
        "user_id": "u1",
        "device_id": "d1",
        "level": "gold",
    }
    assert rest["$pageview"] == {
        "event": "$pageview",
        "user_id": "u1",  # who logged in later
        "device_id": "d1",
        "name": "Home",
        "category": "shop",
        "url": "https://a/",
    }
    assert rest["$screen"]["name"] == "Start"
    assert (rest["$group"]["$group_id"], rest["$group"]["plan"]) == ("g1", "pro")
    alias = {"event": "$alias", "user_id": "u1", "device_id": "d0", "previous_id": "d0"}
    assert rest["$alias"] == alias
    assert live.profiles() == {"u1": {"level": "gold"}}
    assert live.quarantined() == []


@pytest.mark.parametrize("package", NODE)
def test_the_server_is_killed_and_node_loses_and_doubles_nothing(live, npm, tmp_path, package):
    process = npm.script(tmp_path, NODE[package] + ENDLESS, live.url, live.key, 400)
    for _ in range(2):
        live.wait_for(10, "segment")
        live.stop(signal.SIGKILL)
        live.start()
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert json.loads(said) == []
    assert sorted(row["n"] for row in live.events("e")) == list(range(400))


SEGMENT_PAGE = """
import { AnalyticsBrowser } from '@segment/analytics-next';
const one = AnalyticsBrowser.load({writeKey: KEY_, cdnURL: URL_},
  {integrations: {'Segment.io': {apiHost: HOST_ + '/v1', protocol: 'http'}}});
const user = async () => (await one.user()).anonymousId();
"""
RUDDER_PAGE = """
import { RudderAnalytics } from '@rudderstack/analytics-js/bundled';
const one = new RudderAnalytics();
one.load(KEY_, URL_, {configUrl: URL_});
const user = async () => one.getAnonymousId();
"""
PAGE_CALLS = """
(async () => {
  await new Promise((resolve) => one.ready(resolve));
  const device = await user();
  await one.page('Home', {n: 1});
  await one.track('bought', {n: 2, sum: 12.5, city: '济南 😀', tags: ['a'], nested: {a: [1]}});
  await one.identify('ann', {level: 'gold'});
  await one.track('later', {n: 3});
  one.group('g1', {plan: 'pro'});
  setTimeout(() => fetch('/done', {method: 'POST', body: JSON.stringify({device})}), 4000);
})();
"""
PAGES = {"@segment/analytics-next": SEGMENT_PAGE, "@rudderstack/analytics-js": RUDDER_PAGE}


@pytest.mark.parametrize("package", PAGES)
def test_a_page_is_stored_field_by_field(live, npm, page, tmp_path, package):
    code = PAGES[package] + PAGE_CALLS
    for name, value in (("URL_", live.url), ("KEY_", live.key), ("HOST_", live.address)):
        code = code.replace(name, json.dumps(value))
    html = f"<!doctype html>{TELL_ERRORS}<title>One</title><script src=/bundle.js></script>"
    told = page({"/": html, "/bundle.js": npm.bundle(tmp_path, code)})
    live.wait_for(6, "segment")
    found = live.events()
    names = ("$pageview", "bought", "$identify", "later", "$group")
    assert Counter(row["event"] for row in found) == dict.fromkeys(names, 1)
    rows = {row["event"]: row for row in found}
    for row in found:
        assert row["device_id"] == told["device"]
        assert row["$lib_version"].endswith(_version(npm, package))
        assert row["$title"] == "One"
        assert "$ip" not in row
    assert live.key not in json.dumps(found, default=str)
    assert "Mozilla" not in json.dumps(found, default=str)
    bought = rows["bought"]
    assert (bought["n"], bought["sum"], bought["city"]) == (2, 12.5, "济南 😀")
    assert (bought["tags"], bought["nested"]) == (["a"], '{"a":[1]}')
    assert bought["user_id"] == "ann"  # who logged in later
    assert (rows["$identify"]["user_id"], rows["$identify"]["level"]) == ("ann", "gold")
    assert rows["later"]["user_id"] == "ann"
    assert (rows["$group"]["$group_id"], rows["$group"]["plan"]) == ("g1", "pro")
    assert (rows["$pageview"]["name"], rows["$pageview"]["n"]) == ("Home", 1)
    assert live.profiles() == {"ann": {"level": "gold"}}
    assert live.quarantined() == []


def _version(npm, name):
    return json.loads((npm.modules / name / "package.json").read_text())["version"]
