"""`sensorsanalyticssdk` from PyPI against the collector: every consumer, every call."""

from __future__ import annotations

import datetime
import json
import time

import pytest
from sensorsanalytics import sdk
from sensorsanalytics.sdk import SensorsAnalytics, SensorsAnalyticsIdentity

NOON = 1_790_827_200_000  # 2026-10-01 12:00 in Shanghai
LIB = {"$lib": "python", "$lib_version": sdk.SDK_VERSION, "$lib_method": "code"}
CONSUMERS = {
    "default": sdk.DefaultConsumer,
    "batch": lambda url: sdk.BatchConsumer(url, 3),
    "async": lambda url: sdk.AsyncBatchConsumer(url, flush_size=3),
    "debug": sdk.DebugConsumer,
}


def address(live, path="sa"):
    return f"{live.url}/{path}?project=production&token={live.key}"


def said(row):
    """A row without the line of code that sent it."""
    detail = row.pop("$lib_detail")
    assert "##test_sensors_python" in detail or "test_sensors_python.py##" in detail, detail
    return row


def moment(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)


@pytest.mark.parametrize("name", CONSUMERS)
def test_each_consumer_stores_every_property(live, name):
    one = SensorsAnalytics(CONSUMERS[name](address(live)))
    one.register_super_properties({"$app_version": "8.1", "channel": "网点"})
    properties = {
        "$time": NOON,
        "whole": 7,
        "part": 12.5,
        "yes": 1,
        "text": '济南 😀 "\\\n',
        "tags": ["a", "", "中"],
        "none": None,
        "day": datetime.date(2026, 3, 1),
        "moment": datetime.datetime(2026, 3, 1, 8, 0, 5, 6000),
    }
    one.track("anonymous-1", "ViewProduct", dict(properties))
    one.track("customer-1", "SubmitOrder", {"$time": NOON + 1}, is_login_id=True)
    one.track_signup("customer-1", "anonymous-1", {"$time": NOON + 2, "from": "app"})
    one.close()
    view, order, signup = map(said, live.events())
    common = {**LIB, "$app_version": "8.1", "channel": "网点"}
    assert view == {
        **common,
        "event": "ViewProduct",
        "time": moment(NOON),
        "user_id": "customer-1",  # who logged in on it later
        "device_id": "anonymous-1",
        "whole": 7,
        "part": 12.5,
        "yes": 1,
        "text": '济南 😀 "\\\n',
        "tags": ["a", "", "中"],
        "day": datetime.datetime(2026, 2, 28, 16, tzinfo=datetime.UTC),
        "moment": datetime.datetime(2026, 3, 1, 0, 0, 5, 6000, tzinfo=datetime.UTC),
    }
    assert order == {
        **common,
        "event": "SubmitOrder",
        "time": moment(NOON + 1),
        "user_id": "customer-1",
        "$is_login_id": True,
    }
    assert signup == {
        **common,
        "event": "$SignUp",
        "time": moment(NOON + 2),
        "user_id": "customer-1",
        "device_id": "anonymous-1",
        "from": "app",
    }
    assert live.quarantined() == []


def test_profiles_and_items(live):
    one = SensorsAnalytics(sdk.BatchConsumer(address(live)))
    for user, login in (("u1", True), ("d1", False)):
        one.profile_set(user, {"level": "gold", "age": 40, "gone": "x"}, is_login_id=login)
        one.profile_set_once(user, {"level": "lead", "first": "2026-01-02"}, is_login_id=login)
        one.profile_increment(user, {"age": 2, "visits": 1}, is_login_id=login)
        one.profile_append(user, {"likes": ["a", "b"]}, is_login_id=login)
        one.profile_append(user, {"likes": ["b", "c"]}, is_login_id=login)
        one.profile_unset(user, ["gone"], is_login_id=login)
    one.profile_set("u2", {"a": 1}, is_login_id=True)
    one.flush()
    time.sleep(0.002)  # its clock must go on between a record and the one that undoes it
    one.profile_delete("u2", is_login_id=True)
    one.item_set("book", "b2", {"price": 3, "name": "三体"})
    one.item_set("book", "b1", {"price": 4})
    time.sleep(0.002)
    one.item_delete("book", "b1")
    one.close()
    first = datetime.datetime(2026, 1, 1, 16, tzinfo=datetime.UTC)
    whole = {"level": "gold", "age": 42, "visits": 1, "likes": ["a", "b", "c"], "first": first}
    assert live.profiles() == {"u1": whole, "d1": whole}
    assert live.quarantined() == []
    assert live.items("book") == {"b2": {"price": 3, "name": "三体"}}


def test_identities(live):
    one = SensorsAnalytics(sdk.DefaultConsumer(address(live)), enable_time_free=True)
    login = SensorsAnalyticsIdentity(SensorsAnalyticsIdentity.LOGIN_ID, "customer-1")
    mobile = SensorsAnalyticsIdentity(SensorsAnalyticsIdentity.MOBILE, "138")
    one.bind(login, mobile)
    one.track_by_id("Pay", {"sum": 5}, login, mobile)
    one.track_by_id("Seen", {}, mobile)
    one.unbind(mobile)
    one.profile_set_by_id({"level": "gold"}, login, mobile)
    one.close()
    bound, pay, seen, unbound = map(said, live.events())
    both = {"$identity_login_id": "customer-1", "$identity_mobile": "138"}
    for row in (bound, pay, seen, unbound):
        assert abs(row.pop("time").timestamp() - time.time()) < 60
    common = {**LIB, **both, "user_id": "customer-1", "$is_login_id": True}
    assert bound == {**common, "event": "$BindID"}
    assert pay == {**common, "event": "Pay", "sum": 5}
    alone = {**LIB, "device_id": "$identity_mobile+138", "$identity_mobile": "138"}
    assert seen == {**alone, "event": "Seen", "user_id": "customer-1"}
    assert unbound == {**alone, "event": "$UnbindID"}
    assert live.profiles() == {"customer-1": {"level": "gold", **both}}


def test_a_key_in_the_record_is_enough(live):
    one = SensorsAnalytics(sdk.BatchConsumer(f"{live.url}/sa?project=x"))
    one.track("d", "a", {"$token": live.key})
    one.track("d", "b", {"$token": live.key})
    one.close()
    assert [row["event"] for row in live.events()] == ["a", "b"]


def test_a_wrong_key_is_told(live):
    one = SensorsAnalytics(sdk.DefaultConsumer(f"{live.url}/sa?project=x&token=none"))
    with pytest.raises(sdk.SensorsAnalyticsNetworkException):
        one.track("d", "a")
    assert live.events() == []


def test_debugging_shows_what_is_wrong_and_dry_runs_store_nothing(live, capsys):
    dry = SensorsAnalytics(sdk.DebugConsumer(address(live), write_data=False))
    dry.track("d", "a", {"x": 1})
    assert "valid message" in capsys.readouterr().out
    raw = json.dumps({"type": "track", "time": 1, "distinct_id": "d", "properties": {}})
    with pytest.raises(sdk.SensorsAnalyticsDebugException):
        dry._consumer.send(raw)
    shown = capsys.readouterr().out
    assert "ret_code: 400" in shown
    assert "record 0: missing_event event: a track record needs the name of its event" in shown
    assert raw in shown
    long = json.dumps({**json.loads(raw), "event": "e", "properties": {"a": "x" * 9000}})
    with pytest.raises(sdk.SensorsAnalyticsDebugException):
        dry._consumer.send(long)
    assert "string_too_long properties.a" in capsys.readouterr().out
    assert live.events() == []
    assert live.quarantined() == []
