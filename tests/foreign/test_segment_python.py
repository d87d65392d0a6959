"""segment-analytics-python and rudder-sdk-python from PyPI against the collector."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime

import pytest
import rudderstack.analytics.client as rudder
import segment.analytics.client as segment
from rudderstack.analytics.version import VERSION as RUDDER_VERSION
from segment.analytics.version import VERSION as SEGMENT_VERSION

WHEN = datetime(2026, 10, 1, 4, 0, 0, 123_000, tzinfo=UTC)
SDKS = {"segment": segment.Client, "rudder": rudder.Client}
VERSIONS = {"segment": SEGMENT_VERSION, "rudder": RUDDER_VERSION}
LIBRARIES = {"segment": "analytics-python", "rudder": "analytics-python"}


def client(kind, server, **more):
    errors = []
    options = {"host": server.url, "gzip": True, "max_retries": 10, **more}
    one = SDKS[kind](server.key, on_error=lambda error, _: errors.append(error), **options)
    one.errors = errors
    return one


def end(one):
    one.flush()
    one.join()


@pytest.mark.parametrize("kind", SDKS)
def test_every_call_is_stored_field_by_field(live, kind):
    one = client(kind, live)
    one.track(
        user_id="u1",
        anonymous_id="d1",
        event="bought",
        timestamp=WHEN,
        properties={
            "n": 1,
            "sum": 12.5,
            "ok": True,
            "city": "济南 😀",
            "tags": ["a", ""],
            "numbers": [1, 2],
            "mixed": [1, "a", None],
            "nested": {"a": {"b": [1]}},
            "none": None,
            "$name": "reserved",
        },
        context={
            "ip": "192.0.2.7",
            "userAgent": "Mozilla/5.0 (secret)",
            "app": {"name": "Shop", "version": "2.3.4", "channel": "beta"},
            "page": {"url": "https://shop.example/a?b", "path": "/a", "title": "A", "referrer": ""},
            "campaign": {"name": "spring", "source": "mail"},
            "locale": "zh-CN",
            "os": {"name": "iOS", "version": "19.1"},
            "screen": {"width": 320, "height": 568, "density": 2},
        },
        integrations={"All": True},
    )
    one.identify(
        user_id="u1", anonymous_id="d1", traits={"level": "gold", "address": {"city": "x"}}
    )
    one.page(anonymous_id="d1", category="shop", name="Home", properties={"url": "https://a/"})
    one.screen(anonymous_id="d1", name="Start", properties={"n": 2})
    one.group(user_id="u1", group_id="g1", traits={"plan": "pro"})
    one.alias(previous_id="d0", user_id="u1")
    end(one)
    assert one.errors == []
    found = live.events()
    for row in found:
        assert row.pop("$lib") == LIBRARIES[kind]
        assert row.pop("$lib_version") == VERSIONS[kind]
    rows = {row["event"]: row for row in found}
    assert len(rows) == len(found) == 6
    extra = {"channel": "server"} if kind == "rudder" else {}
    assert rows["bought"] == {
        **extra,
        "event": "bought",
        "time": WHEN,
        "user_id": "u1",
        "device_id": "d1",
        "n": 1,
        "sum": 12.5,
        "ok": True,
        "city": "济南 😀",
        "tags": ["a", ""],
        "numbers": ["1", "2"],
        "mixed": '[1,"a",null]',
        "nested": '{"a":{"b":[1]}}',
        "_$name": "reserved",
        "$app_name": "Shop",
        "$app_version": "2.3.4",
        "context.app": '{"channel":"beta"}',
        "$url": "https://shop.example/a?b",
        "$url_path": "/a",
        "$title": "A",
        "$utm_campaign": "spring",
        "$utm_source": "mail",
        "context.locale": "zh-CN",
        "$os": "iOS",
        "$os_version": "19.1",
        "$screen_width": 320,
        "$screen_height": 568,
        "context.screen": '{"density":2}',
    }

    def rest(name):
        row = {k: v for k, v in rows[name].items() if k not in ("event", "time", *extra)}
        assert {k: rows[name][k] for k in extra} == extra
        return row

    assert rest("$identify") == {
        "user_id": "u1",
        "device_id": "d1",
        "level": "gold",
        "address": '{"city":"x"}',
    }
    late = {"user_id": "u1", "device_id": "d1"}  # who logged in later
    page = {**late, "name": "Home", "category": "shop", "url": "https://a/"}
    assert rest("$pageview") == page
    assert rest("$screen") == {**late, "name": "Start", "n": 2}
    assert rest("$group") == {"user_id": "u1", "$group_id": "g1", "plan": "pro"}
    assert rest("$alias") == {"user_id": "u1", "device_id": "d0", "previous_id": "d0"}
    assert live.profiles()["u1"] == {"level": "gold", "address": '{"city":"x"}'}
    assert live.quarantined() == []


@pytest.mark.parametrize("kind", SDKS)
def test_a_bad_message_leaves_its_neighbours(live, kind):
    one = client(kind, live)
    for n in range(3):
        one.track(user_id="u" * 300 if n == 1 else "u", event="e", properties={"n": n})
    one.track(user_id="u", event="e", properties={"n": 3, "big": 1 << 70, "bad": float("nan")})
    one.track(user_id="u", event="e", properties={"n": 4})
    end(one)
    assert one.errors == []
    assert [row["n"] for row in live.events("e")] == [0, 2, 4]
    kept = live.quarantined()
    assert sorted(one["reason"] for one in kept) == ["id_too_long", "int_out_of_range"]


@pytest.mark.parametrize("kind", SDKS)
def test_a_wrong_key_is_told_and_not_tried_again(shared, kind):
    errors = []
    one = SDKS[kind](
        "zk_w_aaaaaaaa_" + "a" * 32, host=shared.url, on_error=lambda error, _: errors.append(error)
    )
    one.track(user_id="u", event="never")
    end(one)
    (error,) = errors
    assert (error.status, error.code) == (401, "unauthorized")


@pytest.mark.parametrize("kind", SDKS)
def test_the_server_is_killed_and_nothing_is_lost_or_doubled(live, kind):
    one = client(kind, live, upload_size=10, upload_interval=0.05)
    pause = threading.Event()

    def track():
        for n in range(500):
            one.track(user_id=f"u{n % 7}", event="e", properties={"n": n})
            pause.wait(0.003)

    sender = threading.Thread(target=track)
    sender.start()
    for _ in range(2):
        live.wait_for(10, "segment")
        live.stop(signal.SIGKILL)
        live.start()
    sender.join()
    end(one)
    assert one.errors == []
    assert sorted(row["n"] for row in live.events("e")) == list(range(500))
