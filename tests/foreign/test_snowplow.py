"""Snowplow's trackers, as published, against a live collector: what they send is what is stored."""

from __future__ import annotations

import base64
import json
import signal
import time
from collections import Counter
from datetime import UTC, datetime

import httpx
import pytest

from tests.foreign.npm import TELL_ERRORS

snowplow = pytest.importorskip("snowplow_tracker")
CLICK = "iglu:com.acme/link_click/jsonschema/1-0-1"
PAGE_CONTEXT = "iglu:com.acme/my_entity/jsonschema/2-0-0"


def tracker(live, method="post", *, encode=True, subject=None, app=None, **more):
    emitter = snowplow.Emitter(live.url, method=method, **more)
    subject = subject or snowplow.Subject().set_user_id("ann").set_domain_user_id("dev")
    return snowplow.Tracker(
        "shop", emitter, subject=subject, app_id=app or live.key, encode_base64=encode
    )


def filled(code, **more):
    """A script with the values of its ``__NAMES__``."""
    for name, text in {"ENTITY": PAGE_CONTEXT, "CLICK": CLICK, **more}.items():
        code = code.replace(f"__{name}__", text)
    return code


def named(rows, event):
    (row,) = [row for row in rows if row["event"] == event]
    return row


def plain(row, *but):
    return {k: v for k, v in row.items() if k not in ("event", "time", *but)}


@pytest.mark.parametrize(("method", "encode"), [("post", True), ("post", False), ("get", True)])
def test_python(live, method, encode):
    subject = snowplow.Subject().set_user_id("ann").set_domain_user_id("dev").set_lang("zh-CN")
    subject.set_network_user_id("net").set_ip_address("10.1.2.3").set_screen_resolution(800, 600)
    subject.set_domain_session_id("s1").set_domain_session_index(4).set_platform("mob")
    sdk = tracker(live, method, encode=encode, subject=subject)
    entity = snowplow.SelfDescribingJson(PAGE_CONTEXT, {"a": 1, "city": "济南 😀"})
    sdk.track(snowplow.PageView("https://bank.cn/a?b=c d", "页 +&", "https://from.cn/"))
    sdk.track(
        snowplow.StructuredEvent(
            "shop",
            "buy",
            "la",
            "pr",
            12.5,
            context=[entity, entity],
            true_timestamp=1_790_827_200_000,
        )
    )
    click = {"target": "a+b", "n": 7, "within": {"x": [1]}, "tags": ["a", "b"]}
    sdk.track(snowplow.SelfDescribing(snowplow.SelfDescribingJson(CLICK, click)))
    sdk.track(snowplow.PagePing("https://bank.cn/", min_x=1, max_x=20))
    sdk.flush()
    rows = live.events()
    assert len(rows) == 4
    common = {
        "user_id": "ann",
        "device_id": "dev",
        "network_userid": "net",
        "br_lang": "zh-CN",
        "dvce_screen": "800x600",
        "domain_sessionid": "s1",
        "domain_sessionidx": 4,
        "platform": "mob",
        "name_tracker": "shop",
        "$lib": "py",
        "$lib_version": snowplow._version.__version__,
    }
    view = named(rows, "page_view")
    assert plain(view) == {
        **common,
        "page_url": "https://bank.cn/a?b=c d",
        "page_title": "页 +&",
        "page_referrer": "https://from.cn/",
    }
    assert abs(view["time"].timestamp() - time.time()) < 60
    struct = named(rows, "struct")
    entities = struct.pop("contexts_com_acme_my_entity_2")
    assert [json.loads(one) for one in entities] == [{"a": 1, "city": "济南 😀"}] * 2
    assert plain(struct) == {
        **common,
        "se_category": "shop",
        "se_action": "buy",
        "se_label": "la",
        "se_property": "pr",
        "se_value": 12.5,
    }
    assert struct["time"] == datetime.fromtimestamp(1_790_827_200, UTC)
    assert plain(named(rows, "link_click")) == {
        **common,
        "$schema": CLICK,
        "target": "a+b",
        "n": 7,
        "within": '{"x":[1]}',
        "tags": ["a", "b"],
    }
    ping = named(rows, "page_ping")
    assert (ping["pp_xoffset_min"], ping["pp_xoffset_max"]) == (1, 20)
    assert live.quarantined() == []


def test_python_sends_again_what_was_not_acknowledged(live):
    sdk = tracker(live, batch_size=10, max_retry_delay_seconds=1)
    emitter = sdk.emitters[0]
    sent = 0
    for _ in range(3):
        live.stop(signal.SIGKILL)
        for _ in range(45):
            sdk.track(snowplow.StructuredEvent("c", "go", value=sent))
            sent += 1
        live.start()
        until = time.monotonic() + 30
        while emitter.event_store.size():
            emitter.flush()
            assert time.monotonic() < until
            time.sleep(0.05)
    until = time.monotonic() + 30
    while len(rows := live.events("struct")) < sent and time.monotonic() < until:
        live.start()
        emitter.flush()  # what a thread of it is sending is not in its store
        time.sleep(1)
    assert Counter(row["se_value"] for row in rows) == dict.fromkeys(range(sent), 1)


def test_an_answer_that_was_lost(live):
    """The tracker sends the same events again, some with new ones."""
    events = [
        {"e": "se", "aid": live.key, "eid": f"e{n}", "uid": "ann", "se_ac": "go", "se_va": str(n)}
        for n in range(4)
    ]
    for batch in (events[:3], events[:3], events[2:]):
        answer = httpx.post(f"{live.url}{POST}", json={"schema": "iglu:x", "data": batch})
        assert (answer.status_code, answer.text) == (200, "ok")
    assert Counter(row["se_value"] for row in live.events()) == dict.fromkeys(range(4), 1)


POST = "/com.snowplowanalytics.snowplow/tp2"


def test_where_the_key_may_stand(live):
    event = {"e": "se", "aid": "shop", "uid": "ann", "se_ac": "go"}
    body = {"schema": "iglu:x", "data": [event]}
    basic = base64.b64encode(f"{live.key}:".encode()).decode()
    url = f"{live.url}{POST}"
    assert httpx.post(url, json=body).status_code == 401
    assert httpx.get(f"{live.url}/i", params=event).status_code == 401
    for headers in ({"Authorization": f"Bearer {live.key}"}, {"Authorization": f"Basic {basic}"}):
        assert httpx.post(url, json=body, headers=headers).status_code == 200
    assert httpx.post(f"{url}?key={live.key}", json=body).status_code == 200
    pixel = httpx.get(f"{live.url}/i", params={**event, "key": live.key})
    assert (pixel.status_code, pixel.headers["content-type"]) == (200, "image/gif")
    assert pixel.content.startswith(b"GIF89a")
    mixed = {"schema": "iglu:x", "data": [{**event, "aid": live.key}, event]}
    assert httpx.post(url, json=mixed).status_code == 200
    rows = live.events()
    assert [row.get("app_id") for row in rows] == ["shop"] * 4 + [None]
    assert [one["reason"] for one in live.quarantined()] == ["other_project"]


NODE = """
import * as sp from '@snowplow/node-tracker';
const [url, key, method] = process.argv.slice(2);
const failed = [];
const tracker = sp.newTracker({ namespace: 'shop', appId: key, encodeBase64: method === 'post' },
  { endpoint: url, eventMethod: method, bufferSize: method === 'post' ? 3 : 1,
    onRequestFailure: (f) => failed.push(f.status) });
tracker.setUserId('ann'); tracker.setDomainUserId('dev'); tracker.setLang('zh-CN');
const entity = [{ schema: '__ENTITY__', data: { a: 1, city: '济南 😀' } }];
tracker.track(sp.buildPageView({ pageUrl: 'https://bank.cn/', pageTitle: '页' }), entity);
tracker.track(sp.buildStructEvent({ category: 'shop', action: 'buy', value: 12.5 }), [],
  { type: 'ttm', value: 1790827200000 });
tracker.track(sp.buildSelfDescribingEvent(
  { event: { schema: '__CLICK__', data: { n: 7, text: 'a+b' } } }));
tracker.track(sp.buildEcommerceTransaction({ orderId: 'o', total: 20.5, currency: 'CNY' }));
tracker.track(sp.buildEcommerceTransactionItem(
  { orderId: 'o', sku: 's', price: 10.25, quantity: 2 }));
await tracker.flush();
console.log(JSON.stringify(failed));
"""


@pytest.mark.parametrize("method", ["post", "get"])
def test_node(live, npm, tmp_path, method):
    assert npm.run(tmp_path, filled(NODE), live.url, live.key, method) == []
    live.wait_for(5, "snowplow")
    rows = live.events()
    assert len(rows) == 5
    version = json.loads((npm.modules / "@snowplow/node-tracker/package.json").read_text())
    common = {
        "user_id": "ann",
        "device_id": "dev",
        "platform": "srv",
        "name_tracker": "shop",
        "br_lang": "zh-CN",
        "$lib": "node",
        "$lib_version": version["version"],
    }
    assert plain(named(rows, "page_view")) == {
        **common,
        "page_url": "https://bank.cn/",
        "page_title": "页",
        "contexts_com_acme_my_entity_2": ['{"a":1,"city":"济南 😀"}'],
    }
    struct = named(rows, "struct")
    assert plain(struct) == {
        **common,
        "se_category": "shop",
        "se_action": "buy",
        "se_value": 12.5,
    }
    assert struct["time"].timestamp() == 1_790_827_200
    assert plain(named(rows, "link_click")) == {**common, "$schema": CLICK, "n": 7, "text": "a+b"}
    order = named(rows, "transaction")
    assert (order["tr_orderid"], order["tr_total"], order["tr_currency"]) == ("o", 20.5, "CNY")
    item = named(rows, "transaction_item")
    assert (item["ti_sku"], item["ti_price"], item["ti_quantity"]) == ("s", 10.25, 2)


LOAD = """
import * as sp from '@snowplow/node-tracker';
const [url, key] = process.argv.slice(2);
let sent = 0;
const tracker = sp.newTracker({ namespace: 'shop', appId: key },
  { endpoint: url, bufferSize: 5, onRequestSuccess: (batch) => { sent += batch.length; } });
tracker.setUserId('ann');
const wait = (ms) => new Promise((end) => setTimeout(end, ms));
for (let n = 0; n < 300; n++) {
  tracker.track(sp.buildStructEvent({ category: 'c', action: 'go', value: n }));
  if (n % 10 === 0) await wait(10);
  if (n === 100 || n === 200) {
    console.log('kill');
    await wait(150);
  }
}
for (let i = 0; i < 300 && sent < 300; i++) {
  await tracker.flush();
  await wait(50);
}
console.log(sent);
"""


def test_node_loses_and_repeats_nothing_while_the_server_is_killed(live, npm, tmp_path):
    process = npm.script(tmp_path, LOAD, live.url, live.key)
    for _ in range(2):
        assert process.stdout.readline() == "kill\n"
        live.stop(signal.SIGKILL)
        live.start()
    assert process.stdout.readline() == "300\n"
    assert process.wait(60) == 0
    process.communicate()
    rows = live.events("struct")
    assert Counter(row["se_value"] for row in rows) == dict.fromkeys(range(300), 1)


PAGE = """
import * as sp from '@snowplow/browser-tracker';
const [url, key] = [__URL__, __KEY__];
const failed = [];
let sent = 0;
for (const method of ['post', 'get']) {
  sp.newTracker(method, url, { appId: key, eventMethod: method, encodeBase64: method === 'post',
    contexts: { webPage: true, session: true }, maxGetBytes: 100000,
    onRequestFailure: (f) => failed.push(f.status),
    onRequestSuccess: (batch) => { sent += batch.length; } });
}
(async () => {
  const entity = { schema: '__ENTITY__', data: { a: 1, city: '济南 😀' } };
  sp.trackPageView({ title: '页', context: [entity] });
  sp.setUserId('ann');
  sp.trackStructEvent({ category: 'shop', action: 'buy', value: 12.5 });
  sp.trackSelfDescribingEvent({ event: { schema: '__CLICK__', data: { n: 7, tags: ['a', 'b'] } } });
  sp.flushBuffer();
  for (let i = 0; i < 200 && sent < 6; i++) await new Promise((end) => setTimeout(end, 50));
  fetch('/done', { method: 'POST', body: JSON.stringify({ failed, sent }) });
})();
"""


def test_browser(live, npm, page, tmp_path):
    code = filled(PAGE, URL=json.dumps(live.url), KEY=json.dumps(live.key))
    html = f"<!doctype html><title>Bank</title>{TELL_ERRORS}<script src=/bundle.js></script>"
    told = page({"/": html, "/bundle.js": npm.bundle(tmp_path, code)})
    assert told == {"failed": [], "sent": 6}
    rows = live.events()
    assert Counter(row["event"] for row in rows) == dict.fromkeys(
        ["page_view", "struct", "link_click"], 2
    )
    assert len({row["device_id"] for row in rows}) == 1
    for row in rows:
        assert row["$lib"] == "js"
        assert row["platform"] == "web"
        assert row["page_url"].startswith("http://127.0.0.1:")
        (web_page,) = row["contexts_com_snowplowanalytics_snowplow_web_page_1"]
        assert json.loads(web_page)["id"]
        assert row["br_cookies"] is True
        assert row["user_id"] == "ann"  # who logged in later
        if row["event"] == "page_view":
            assert row["page_title"] == "页"
            assert row["contexts_com_acme_my_entity_2"] == ['{"a":1,"city":"济南 😀"}']
        if row["event"] == "struct":
            assert (row["se_category"], row["se_action"], row["se_value"]) == ("shop", "buy", 12.5)
        if row["event"] == "link_click":
            assert (row["$schema"], row["n"], row["tags"]) == (CLICK, 7, ["a", "b"])
    assert live.quarantined() == []
