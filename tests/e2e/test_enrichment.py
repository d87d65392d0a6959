"""Enrichment by a running server: off unless configured, one place for all protocols."""

from __future__ import annotations

import httpx
import pytest

from tests import warm
from tests.serving import ENVIRONMENT, running
from tests.unit.test_enrich import CHROME, IPHONE, JINAN, OF_IPHONE, regions  # noqa: F401

CLIENT = "203.0.113.7"
ALL = {**OF_IPHONE, **JINAN}


NAMES = ["own", "mixpanel", "amplitude", "page_view"]


def sent(live, agent=IPHONE):
    """One event in each of four protocols, through a proxy on this machine."""
    headers = {"User-Agent": agent, "X-Forwarded-For": f"6.6.6.6, {CLIENT}"}
    key = live.key
    posts = {
        f"/v1/events?key={key}": {"event": "own", "time": 1_790_827_200_000, "user_id": "u"},
        "/track?verbose=1": {"event": "mixpanel", "properties": {"token": key, "distinct_id": "u"}},
        "/2/httpapi": {
            "api_key": key,
            "events": [{"event_type": "amplitude", "user_id": "u", "ip": "$remote"}],
        },
        "/com.snowplowanalytics.snowplow/tp2": {"data": [{"e": "pv", "aid": key, "uid": "u"}]},
    }
    for path, body in posts.items():
        answer = httpx.post(live.url + path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
    rows = live.events()
    assert len(rows) == 4
    return {row["event"]: {k: v for k, v in row.items() if k in {*ALL, "$ip"}} for row in rows}


def test_nothing_is_added_unless_configured(tmp_path):
    for live in running(tmp_path):
        assert sent(live) == {name: {} for name in NAMES}


def test_everything_is_added_when_configured(tmp_path, regions):  # noqa: F811
    settings = ("enrich_user_agent=true", "trusted_proxies=127.0.0.1", "store_ip=true")
    flags = [word for one in (*settings, f"ip_regions={regions}") for word in ("--set", one)]
    for live in running(tmp_path, *flags):
        found = {**ALL, "$ip": CLIENT}
        assert sent(live) == dict.fromkeys(NAMES, found)


def test_addresses_are_not_kept_by_default(tmp_path, regions):  # noqa: F811
    flags = ("--set", "trusted_proxies=127.0.0.1", "--set", f"ip_regions={regions}")
    for live in running(tmp_path, *flags):
        found = dict.fromkeys(NAMES, JINAN)
        assert sent(live, CHROME) == found
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CLIENT.encode() not in stored


@pytest.mark.parametrize(
    ("setting", "message"),
    [("ip_regions=/none.mmdb", "/none.mmdb: No such file"), ("store_ip=7", "true or false")],
)
def test_wrong_settings_are_said_in_a_line(tmp_path, setting, message):
    command = ["serve", "--data", tmp_path, "--dev", "--set", setting]
    addresses = ("--collect", "127.0.0.1:0", "--api", "127.0.0.1:0")
    run = warm.run([*command, *addresses], env=ENVIRONMENT, text=True)
    assert run.returncode == 2, run.stderr
    assert message in run.stderr
    assert "Traceback" not in run.stderr
