"""`sa-sdk-node` in Node, `sa-sdk-javascript` in headless Chromium and `sa-sdk-miniprogram` on a
stub of `wx`, from npm, against the collector.
"""

from __future__ import annotations

import datetime
import json
import time

import pytest

from tests.foreign.npm import TELL_ERRORS, opened

NOON = 1_790_827_200_000  # 2026-10-01 12:00 in Shanghai
NODE = """
import SensorsAnalytics from 'sa-sdk-node';
const [url, gzip, debug] = process.argv.slice(2);
const sa = new SensorsAnalytics();
const submitter = sa.submitTo({url, gzip: gzip === '1', mode: debug ? 'debug' : 'track'},
  {count: 4, timeSpan: 100});
sa.registerSuperProperties({channel: '网点'});
const time = 1790827200000;
sa.track('d1', 'ViewProduct', {$time: time, whole: 7, part: 12.5, yes: true, text: '济南 😀 "',
  tags: ['a', ''], day: new Date(1790827200006)});
sa.trackSignup('u1', 'd1', {$time: time + 1, from: 'app'});
sa.profileSet('u1', {level: 'gold', age: 40});
sa.profileSetOnce('u1', {level: 'lead'});
sa.profileIncrement('u1', {age: 2});
sa.profileAppend('u1', {likes: ['a', 'b']});
sa.profileUnset('u1', ['nothing']);
sa.itemSet('book', 'b1', {price: 3});
sa.itemDelete('book', 'b1');
"""


def moment(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)


def address(live, path="sa"):
    return f"{live.url}/{path}?project=production&token={live.key}"


def version(npm, name):
    return json.loads((npm.modules / name / "package.json").read_text())["version"]


@pytest.mark.parametrize(("gzip", "debug"), [("1", ""), ("0", ""), ("1", "debug")])
def test_node(live, npm, tmp_path, gzip, debug):
    process = npm.script(tmp_path, NODE, address(live), gzip, debug)
    try:
        live.wait_for(9, "sensors")
    finally:
        process.kill()  # its timer would keep it alive for ever
        process.communicate()
    view, signup = live.events()
    assert "script.mjs" in view.pop("$lib_detail")
    assert "script.mjs" in signup.pop("$lib_detail")
    common = {"$lib": "Node", "$lib_version": version(npm, "sa-sdk-node"), "$lib_method": "code"}
    common["channel"] = "网点"
    assert view == {
        **common,
        "event": "ViewProduct",
        "time": moment(NOON),
        "user_id": "u1",  # who logged in on it later
        "device_id": "d1",
        "whole": 7,
        "part": 12.5,
        "yes": True,
        "text": '济南 😀 "',
        "tags": ["a", ""],
        "day": moment(NOON + 6 - 8 * 3_600_000),  # written in UTC, read in sensors_zone
    }
    assert signup == {
        **common,
        "event": "$SignUp",
        "time": moment(NOON + 1),
        "user_id": "u1",
        "device_id": "d1",
        "from": "app",
    }
    profile = {"level": "gold", "age": 42, "likes": ["a", "b"], "channel": "网点"}
    assert live.profiles() == {"u1": profile}
    items(live)


def items(live):
    """The item was set and, at once, deleted; of one millisecond the one that came last counts."""
    assert live.quarantined() == []
    assert live.items("book") in ({}, {"b1": {"price": 3}})


WEB = """
import sensors from 'sa-sdk-javascript';
sensors.init({server_url: URL_, ...HOW_, is_track_single_page: false, show_log: false,
  heatmap: {clickmap: 'not_collect', scroll_notice_map: 'not_collect'}});
sensors.registerPage({channel: '网点'});
sensors.quick('autoTrackSinglePage');
sensors.track('ViewProduct', {whole: 7, part: 12.5, yes: true, text: '济南 😀 "+/&=',
  tags: ['a', 'b'], day: new Date(1790827200006)});
sensors.login('u1');
sensors.track('SubmitOrder', {sum: 1});
sensors.setProfile({level: 'gold', age: 40});
sensors.setOnceProfile({level: 'lead'});
sensors.incrementProfile({age: 2});
sensors.appendProfile({likes: ['a', 'b']});
sensors.unsetProfile(['nothing']);
sensors.setItem('book', 'b1', {price: 3});
sensors.deleteItem('book', 'b1');
sensors.bind('$identity_mobile', '138');
const bound = Date.now(); while (Date.now() === bound);  // at one instant, apart comes first
sensors.unbind('$identity_mobile', '138');
fetch('/done', {method: 'POST', body: JSON.stringify({
  device: sensors.store.getFirstId() || sensors.store.getDistinctId()})});
"""
HOW = {
    "image": {"send_type": "image"},
    "ajax": {"send_type": "ajax"},
    "beacon": {"send_type": "beacon"},
    "batch": {"batch_send": {"datasend_timeout": 6000, "send_interval": 300}},
}


@pytest.mark.parametrize("how", HOW)
def test_pages(live, npm, tmp_path, how):
    code = WEB.replace("URL_", json.dumps(address(live))).replace("HOW_", json.dumps(HOW[how]))
    html = f"<!doctype html><title>One</title>{TELL_ERRORS}<script src=/bundle.js></script>"
    with opened(tmp_path, {"/": html, "/bundle.js": npm.bundle(tmp_path, code)}) as site:
        assert site.done.wait(60)
        live.wait_for(14, "sensors", 20)  # 6 events, 6 profile records, 2 of an item
        assert not site.errors, site.errors
    device = site.told["device"]
    rows = live.events()
    for row in rows:
        assert abs(row.pop("time").timestamp() - time.time()) < 120
        for name in ("$viewport_height", "$viewport_width", "$timezone_offset"):
            assert isinstance(row.pop(name), float)
        for name in ("$latest_traffic_source_type", "$latest_search_keyword", "$latest_referrer"):
            assert row.pop(name)
    common = {
        "$lib": "js",
        "$lib_version": version(npm, "sa-sdk-javascript"),
        "$lib_method": "code",
        "$screen_width": 800,
        "$screen_height": 600,
        "$url": site.url + "/",
        "$title": "One",
        "channel": "网点",
    }
    cookie = {"$identity_cookie_id": device, "$identity_anonymous_id": device}
    login = {**cookie, "$identity_login_id": "u1", "user_id": "u1", "device_id": device}
    opening = {"$url_path": "/", "$referrer": "", "$referrer_host": "", "$is_first_time": True}
    expected = [
        {**common, **cookie, **opening, "event": "$pageview", "$is_first_day": True},
        {
            **common,
            **cookie,
            "event": "ViewProduct",
            "$is_first_day": True,
            "whole": 7,
            "part": 12.5,
            "yes": True,
            "text": '济南 😀 "+/&=',
            "tags": ["a", "b"],
            "day": moment(NOON + 6 - 8 * 3_600_000),
        },
        {**common, **login, "event": "$SignUp"},
        {**common, **login, "event": "SubmitOrder", "$is_first_day": True, "sum": 1},
        {**common, **login, "event": "$BindID", "$identity_mobile": "138"},
        # carries that identity alone, beside a distinct id that does not say what it is: from all
        {
            **common,
            "event": "$UnbindID",
            "$identity_mobile": "138",
            "device_id": "$identity_mobile+138",
            "distinct_id": "u1",
        },
    ]
    for one in expected[:2]:
        one |= {"device_id": device, "user_id": "u1"}  # who logged in later
    assert rows == expected
    profiles = live.profiles()
    assert set(profiles) == {"u1"}  # what was said of his device is said of him
    told = {**cookie, "$identity_login_id": "u1", "level": "gold", "age": 42, "likes": ["a", "b"]}
    assert told.items() <= profiles["u1"].items()
    assert {"$first_visit_time", "$first_referrer"} <= set(profiles["u1"])
    items(live)
