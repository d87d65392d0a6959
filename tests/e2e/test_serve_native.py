"""The rest of the native protocol over HTTP: profiles, users behind a number, explain, schema,
progress, and a long query whose client goes away.
"""

import json
import socket
import time

import pytest

from tests.e2e.test_serve import COUNT, HTTP, NOON, event, served


def lines(text):
    """Server-sent events as (name, data)."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["event"], fields["data"]))
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("native"), "--dev") as running:
        yield running


def test_profiles_events_and_what_the_api_tells_of_them(server):
    profile = {
        "type": "profile_set",
        "time": NOON - 1,
        "user_id": "u1",
        "properties": {"tier": "g"},
    }
    answer = HTTP.post(f"{server.collect}/v1/profiles", json=[profile])
    assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    sent = [event(i % 3, properties={"amount": i}) for i in range(30)]
    assert HTTP.post(f"{server.collect}/v1/events", json=sent).json()["accepted"] == 30

    schema = HTTP.get(f"{server.api}/v1/schema").json()
    assert [one["name"] for one in schema["events"] if not one["name"].startswith("profile")] == [
        "go"
    ]
    kinds = {one["name"]: one for one in schema["properties"]}
    assert any("amount" in name for name in kinds)
    assert any("tier" in name for name in kinds)

    answer = HTTP.post(f"{server.api}/v1/query", json=COUNT).json()
    series = [column["name"] for column in answer["columns"]].index("series")
    pick = {"series": answer["rows"][1][series]}
    users = HTTP.post(f"{server.api}/v1/query/users", json={"query": COUNT, "pick": pick})
    assert users.status_code == 200, users.text
    found = users.json()
    at = [column["name"] for column in found["columns"]].index("user_id")
    assert sorted(row[at] for row in found["rows"]) == ["u0", "u1", "u2"]
    wrong = HTTP.post(
        f"{server.api}/v1/query/users", json={"query": COUNT, "pick": {"series": "none"}}
    )
    assert wrong.status_code == 400
    assert wrong.json()["error"]["path"].startswith("$.pick")

    explained = HTTP.post(f"{server.api}/v1/query/explain", json=COUNT)
    assert explained.status_code == 200
    assert explained.json()

    told = HTTP.post(f"{server.api}/v1/query", json=COUNT, headers={"Accept": "text/event-stream"})
    assert told.headers["content-type"].startswith("text/event-stream")
    steps = lines(told.text)
    assert steps[-1][0] == "result"
    shares = [float(data) for name, data in steps if name == "progress"]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    bad = {**COUNT, "body": {"series": []}}
    failed = HTTP.post(f"{server.api}/v1/query", json=bad, headers={"Accept": "text/event-stream"})
    assert "error" in failed.text
    assert "invalid_query" in failed.text


def test_a_client_that_goes_away_during_progress_ends_its_query(server):
    host, port = server.api.removeprefix("http://").split(":")
    body = json.dumps(COUNT).encode()
    head = (
        "POST /v1/query HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(10):
        with socket.create_connection((host, int(port))) as client:
            client.sendall(head.encode() + body)
    until = time.monotonic() + 10
    while "zuji_queries_running 0.0" not in HTTP.get(f"{server.api}/metrics").text:
        assert time.monotonic() < until
    assert HTTP.post(f"{server.api}/v1/query", json=COUNT).status_code == 200
    assert not [line for line in server.log if "Traceback" in line]
