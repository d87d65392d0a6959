"""The tests' own machinery: packages are there, and a page can tell."""

from tests.foreign.npm import TELL_ERRORS


def test_a_package_can_be_imported_in_node_and_bundled_for_a_page(npm, page, tmp_path):
    code = "import { PostHog } from 'posthog-node'; console.log(JSON.stringify(typeof PostHog));"
    assert npm.run(tmp_path, code) == "function"
    script = npm.bundle(
        tmp_path,
        "import { PostHog } from 'posthog-js';"
        "fetch('/done', {method: 'POST', body: JSON.stringify(typeof PostHog)});",
    )
    html = f"<!doctype html>{TELL_ERRORS}<script src=/bundle.js></script>"
    assert page({"/": html, "/bundle.js": script}) == "function"


def test_what_the_collector_stored_is_read_back(live):
    import httpx

    records = [
        {"event": "pay", "time": 1_790_827_200_000, "user_id": "u", "properties": {"n": 1}},
        {"event": "pay", "time": 1_790_827_200_000, "properties": {"n": 2}},
        {
            "type": "profile_set",
            "time": 1_790_827_200_000,
            "user_id": "u",
            "properties": {"level": "gold"},
        },
    ]
    answer = httpx.post(
        f"{live.url}/v1/events", json=records, headers={"Authorization": f"Bearer {live.key}"}
    )
    assert answer.json()["accepted"] == 2
    assert live.metric("zuji_events_total", protocol="native") == 2
    (row,) = live.events("pay")
    assert (row["user_id"], row["n"]) == ("u", 1)
    assert live.profiles() == {"u": {"level": "gold"}}
    (kept,) = live.quarantined()
    assert kept["reason"] == "missing_id"
