"""posthog-node, and posthog-js in headless Chromium, against the collector."""

from __future__ import annotations

import json
import signal
from collections import Counter

from tests.foreign.npm import TELL_ERRORS

NODE = """
import { PostHog } from 'posthog-node';
const [url, key] = process.argv.slice(2);
const errors = [];
const one = new PostHog(key, {host: url, flushAt: 3, enableExceptionAutocapture: false});
one.on('error', (e) => errors.push(String(e)));
one.capture({distinctId: 'u1', event: 'bought', timestamp: new Date('2026-10-01T04:00:00.123Z'),
  uuid: '01a207a4-77c3-7a7a-a6a5-c02c2c9a4220',
  properties: {n: 1, sum: 12.5, city: '济南 😀', tags: ['a', ''], nested: {a: [1]}, none: null},
  groups: {company: 'acme'}});
one.identify({distinctId: 'u1', properties: {level: 'gold', $set_once: {first: 1}}});
one.alias({distinctId: 'u1', alias: 'device-1'});
one.groupIdentify({groupType: 'company', groupKey: 'acme', properties: {name: 'Acme'}});
one.capture({distinctId: 'anon', event: 'seen', properties: {$process_person_profile: false}});
one.capture({distinctId: 'u1', event: 'forget', properties: {$unset: ['level']}});
await one.shutdown();
console.log(JSON.stringify(errors));
"""
COMMON = {"$lib": "posthog-node", "$geoip_disable": True, "$is_server": True}


def test_node_is_stored_field_by_field(live, npm, tmp_path):
    assert npm.run(tmp_path, NODE, live.url, live.key) == []
    found = live.events()
    for row in found:
        assert row.pop("$lib_version") == _version(npm, "posthog-node")
    rows = {row["event"]: row for row in found}
    assert len(rows) == len(found) == 6
    bought = rows["bought"]
    assert bought.pop("time").isoformat() == "2026-10-01T04:00:00.123000+00:00"
    assert bought == {
        **COMMON,
        "event": "bought",
        "user_id": "u1",
        "n": 1,
        "sum": 12.5,
        "city": "济南 😀",
        "tags": ["a", ""],
        "nested": '{"a":[1]}',
        "$groups": '{"company":"acme"}',
    }
    identify, alias, group = rows["$identify"], rows["$create_alias"], rows["$groupidentify"]
    assert (identify["user_id"], json.loads(identify["$set"])) == ("u1", {"level": "gold"})
    assert (alias["user_id"], alias["device_id"], alias["alias"]) == ("u1", "device-1", "device-1")
    assert (group.get("user_id"), group["device_id"]) == (None, "$company_acme")
    assert json.loads(group["$group_set"]) == {"name": "Acme"}
    assert (rows["seen"].get("user_id"), rows["seen"]["device_id"]) == (None, "anon")
    assert live.profiles() == {"u1": {"first": 1}}
    assert live.quarantined() == []


ENDLESS = """
import { PostHog } from 'posthog-node';
const [url, key] = process.argv.slice(2);
const one = new PostHog(key, {host: url, flushAt: 10, flushInterval: 50, fetchRetryCount: 20,
  fetchRetryDelay: 300});
for (let n = 0; n < 400; n++) {
  one.capture({distinctId: 'u' + n % 7, event: 'e', properties: {n}});
  await new Promise((resolve) => setTimeout(resolve, 3));
}
await one.shutdown(60000);
"""


def test_the_server_is_killed_and_node_loses_and_doubles_nothing(live, npm, tmp_path):
    process = npm.script(tmp_path, ENDLESS, live.url, live.key)
    for _ in range(2):
        live.wait_for(10, "posthog")
        live.stop(signal.SIGKILL)
        live.start()
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    assert sorted(row["n"] for row in live.events("e")) == list(range(400))


PAGE = """
import posthog from 'posthog-js';
const statuses = [];
const real = window.fetch;
window.fetch = function (url, options) {
  return real(url, options).then(function (answer) {
    if (String(url).indexOf(URL_) === 0) statuses.push(answer.status);
    return answer;
  });
};
posthog.init(KEY_, {api_host: URL_, opt_out_useragent_filter: true, autocapture: false,
  disable_session_recording: true, person_profiles: 'identified_only', request_batching: true,
  capture_pageleave: false, disable_surveys: true,
  loaded: function (one) {
    one.capture('anonymous', {n: 1, nested: {a: [1]}, text: '济南 😀', tags: ['a']});
    const device = one.get_distinct_id();
    one.identify('ann', {level: 'gold'}, {first: 1});
    one.capture('bought', {n: 2, sum: 12.5});
    one.group('company', 'acme', {name: 'Acme'});
    one.setPersonProperties({city: 'x'}, {second: 2});
    one.unsetPersonProperties(['level']);
    one.reset();
    one.capture('after', {n: 3});
    const later = one.get_distinct_id();
    setTimeout(function () {
      one.capture('last', {n: 4}, {transport: TRANSPORT_});
      setTimeout(function () {
        fetch('/done', {method: 'POST', body: JSON.stringify(
          {device: device, later: later, statuses: statuses, version: one.LIB_VERSION || ''})});
      }, 4500);
    }, 3500);
  }});
"""


def _pages(npm, live, tmp_path, transport):
    code = PAGE
    for name, value in (("URL_", live.url), ("KEY_", live.key), ("TRANSPORT_", transport)):
        code = code.replace(name, json.dumps(value))
    html = f"<!doctype html>{TELL_ERRORS}<title>One</title><script src=/bundle.js></script>"
    return {"/": html, "/bundle.js": npm.bundle(tmp_path, code)}


def test_a_page_is_stored_field_by_field(live, npm, page, tmp_path):
    told = page(_pages(npm, live, tmp_path, "sendBeacon"))
    live.wait_for(8, "posthog")
    found = live.events()
    rows = {row["event"]: row for row in found if row["event"] != "$pageview"}
    assert Counter(row["event"] for row in found) == {
        "anonymous": 1,
        "$identify": 1,
        "bought": 1,
        "$groupidentify": 1,
        "$set": 2,
        "after": 1,
        "last": 1,
        "$pageview": 1,
    }
    first = rows["anonymous"]
    assert (first["user_id"], first["device_id"]) == ("ann", told["device"])  # who logged in later
    assert (first["n"], first["nested"], first["text"], first["tags"]) == (
        1,
        '{"a":[1]}',
        "济南 😀",
        ["a"],
    )
    assert (first["$lib"], first["$is_identified"]) == ("web", False)
    assert "token" not in first
    assert live.key not in json.dumps(found, default=str)
    linked = rows["$identify"]
    assert (linked["user_id"], linked["device_id"]) == ("ann", told["device"])
    assert linked["$anon_distinct_id"] == told["device"]
    bought = rows["bought"]
    assert (bought["user_id"], bought["device_id"]) == ("ann", told["device"])
    assert (bought["n"], bought["sum"]) == (2, 12.5)
    assert json.loads(rows["$groupidentify"]["$group_set"]) == {"name": "Acme"}
    after = rows["after"]
    assert told["later"] != told["device"]
    assert (after.get("user_id"), after["device_id"]) == (None, told["later"])
    assert after["_$device_id"] == told["device"]
    assert rows["last"]["n"] == 4
    profile = live.profiles()["ann"]
    assert (profile["city"], profile["first"], profile["second"]) == ("x", 1, 2)
    assert profile["$initial_pathname"] == "/"
    assert "level" not in profile
    assert live.quarantined() == []


def _version(npm, name):
    return json.loads((npm.modules / name / "package.json").read_text())["version"]
