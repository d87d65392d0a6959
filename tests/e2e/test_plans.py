"""Tracking plans end to end: a real server in strict mode, its answers, its quarantine, its live
view, kill -9, and a search of every byte it left for what must not be there.
"""

from __future__ import annotations

import base64
import json
import signal
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

import zuji
from tests.serving import Live, zuji_command

HTTP = httpx.Client(verify=False, timeout=30)
SECRET = "330102199001011234"
PIN = "pin-code-0815"

PLAN = {
    "mode": "strict",
    "events": [{"name": "pay", "properties": ["amount", "city"]}],
    "properties": [
        {"name": "amount", "kind": "float64"},
        {"name": "city", "kind": "string"},
        {"name": "id_card", "sensitive": "tokenise", "kind": "string"},
        {"name": "pin", "sensitive": "refuse"},
    ],
    "common": ["id_card", "pin"],
}


def now():
    return time.time_ns() // 1_000_000


def event(name="pay", **properties):
    return {
        "event": name,
        "time": now(),
        "user_id": "u1",
        "device_id": "d1",
        "properties": properties,
    }


@pytest.fixture
def bank(tmp_path):
    """A running server with a strict plan; ``admin``, ``read``: headers."""
    server = Live(tmp_path / "data")
    place = ("--data", server.data, "--project", "app")
    for kind in ("admin", "read"):
        key = zuji_command("key", "create", *place, f"--{kind}")
        setattr(server, kind, {"Authorization": f"Bearer {key}"})
        setattr(server, f"{kind}_key", key)
    server.place = place
    server.start()
    put = HTTP.put(f"{server.api}/v1/plan", json=PLAN, headers=server.admin)
    assert put.json()["version"] == 1, put.text
    yield server
    server.stop(signal.SIGKILL)


def send(server, events, **envelope):
    body = {**envelope, "events": events} if envelope else events
    headers = {"Authorization": f"Bearer {server.key}"}
    answer = HTTP.post(f"{server.url}/v1/events", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(server, path, headers=None):
    answer = HTTP.get(f"{server.api}{path}", headers=headers or server.admin)
    assert answer.status_code == 200, answer.text
    return answer.json()


def until(check, seconds=15):
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def test_strict_mode_from_the_first_event_to_after_a_kill(bank, tmp_path):
    events = [
        event(amount=1.5, city="hz", id_card=SECRET),
        event(amount="2.5", color="red"),
        event(amount=3, pin=PIN, ID_CARD=SECRET + "9"),
        event("nope", pin=PIN, id_card=SECRET),
        {**event(amount=1), "time": now() - 20 * 86_400_000},
        event(amount="much", city=json.dumps({"pin": PIN, "x": {"id_card": SECRET}})),
        {"event": "pay", "properties": {"pin": PIN, "id_card": SECRET}},
    ]
    expected = [
        (2, "case_conflict"),
        (3, "unknown_event"),
        (4, "too_old"),
        (5, "type_mismatch"),
        (6, "missing_id"),
    ]
    for again in (False, True):
        told = send(bank, events, batch_id="b1")
        assert told["accepted"] == (0 if again else 2)
        assert told["duplicates"] == (2 if again else 0)
        assert [(r["index"], r["code"]) for r in told["rejected"]] == expected
    rows = get(bank, "/v1/rejected")["rows"]
    assert len(rows) == 5
    assert SECRET not in json.dumps(rows)
    assert PIN not in json.dumps(rows)
    bank.stop(signal.SIGKILL)
    files = [path for path in bank.data.rglob("*") if path.is_file()]
    assert any("wal" in str(path) for path in files)
    for path in files:
        for value in (SECRET, PIN):
            assert value.encode() not in path.read_bytes(), path
    for text in bank.log:
        assert SECRET not in text
    bank.start()
    assert get(bank, "/v1/plan")["plan"]["mode"] == "strict"
    again = send(bank, events, batch_id="b1")
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert [(r["index"], r["code"]) for r in again["rejected"]] == expected
    rows = get(bank, "/v1/rejected")["rows"]
    assert [(r["index"], r["reason"]) for r in rows] == expected
    bank.stop()
    for path in (path for path in bank.data.rglob("*") if path.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path
    with zuji.open(bank.data, "app", mode="r") as engine:
        assert engine.status()["rows"] == 2
        kinds = {p["name"]: p["kind"] for p in engine.properties()}
        assert kinds["amount"] == "float64"
        assert "pin" not in kinds


def test_strict_mode_under_load_with_kills_loses_and_leaks_nothing(bank):
    """Clients send each batch until it is answered, as SDKs do, while the server is killed."""
    cycles, each = 3, 25
    answers, wrong = {}, []
    stop = threading.Event()

    def client(number):
        with httpx.Client(verify=False, timeout=10) as http:
            for i in range(10_000):
                if stop.is_set():
                    return
                name = f"{number}-{i}"
                found = [
                    event(amount=1.5, id_card=f"{SECRET}{i}", city=name),
                    event("nope", pin=PIN, city=name),
                    event(amount="much", city=json.dumps({"pin": PIN, "of": name})),
                    event(amount=2, pin=PIN, city=name),
                ]
                body = {"batch_id": name, "events": found}
                headers = {"Authorization": f"Bearer {bank.key}"}
                while name not in answers:
                    try:
                        answer = http.post(f"{bank.url}/v1/events", json=body, headers=headers)
                    except httpx.HTTPError:
                        time.sleep(0.02)
                        continue
                    if answer.status_code == 200:
                        answers[name] = answer.json()
                    elif answer.status_code != 503:
                        wrong.append(answer.text)
                        return

    clients = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    for one in clients:
        one.start()
    try:
        for cycle in range(cycles):
            until(lambda cycle=cycle: wrong or len(answers) >= (cycle + 1) * each, 60)
            bank.stop(signal.SIGKILL)
            for path in (path for path in bank.data.rglob("*") if path.is_file()):
                content = path.read_bytes()
                assert SECRET.encode() not in content, path
                assert PIN.encode() not in content, path
            bank.start()
        until(lambda: wrong or len(answers) >= (cycles + 1) * each, 60)
    finally:
        stop.set()
        for one in clients:
            one.join()
    assert wrong == []
    for told in answers.values():  # also of those that were stored before a kill, unanswered
        assert [(r["index"], r["code"]) for r in told["rejected"]] == [
            (1, "unknown_event"),
            (2, "type_mismatch"),
        ]
        assert sorted((told["accepted"], told["duplicates"])) == [0, 2]
    bank.stop()
    for text in bank.log:
        assert SECRET not in text
        assert PIN not in text
    with zuji.open(bank.data, "app", mode="r") as engine:
        assert engine.status()["rows"] == 2 * len(answers)
        kept = [one["event"]["properties"].get("city") for one in engine.rejected()]
    names = [json.loads(one)["of"] if one.startswith("{") else one for one in kept]
    assert sorted(names) == sorted(2 * list(answers))


def test_what_was_refused_can_be_stored_once_the_plan_knows_it(bank):
    send(bank, [event("order", amount=7), event("nope"), event(amount="x")])
    wider = {**PLAN, "events": [*PLAN["events"], {"name": "order"}]}
    headers = bank.admin
    stale = HTTP.put(f"{bank.api}/v1/plan?expected=0", json=wider, headers=headers)
    assert stale.status_code == 400
    put = HTTP.put(f"{bank.api}/v1/plan?expected=1&note=orders", json=wider, headers=headers)
    assert put.json()["version"] == 2
    replay = f"{bank.api}/v1/rejected/replay"
    assert HTTP.post(replay, json={"reason": "unknown_event"}, headers=bank.read).status_code == 403
    body = {"reason": "unknown_event", "dry_run": True}
    rows = HTTP.post(replay, json=body, headers=headers).json()["rows"]
    assert [row.get("code") for row in rows] == [None, "unknown_event"]
    done = HTTP.post(replay, json={"reason": "unknown_event"}, headers=headers).json()
    assert (done["stored"], [one["code"] for one in done["left"]]) == (1, ["unknown_event"])
    # the rest: mended, then discarded
    mend = {"rename_event": {"nope": "pay"}, "set": {"amount": 2.5}}
    done = HTTP.post(replay, json={"reason": "unknown_event", "mend": mend}, headers=headers).json()
    assert (done["stored"], done["left"]) == (1, [])
    (left,) = get(bank, "/v1/rejected")["rows"]
    gone = HTTP.delete(f"{bank.api}/v1/rejected?id={left['id']}", headers=headers)
    assert gone.json() == {"discarded": 1}
    assert HTTP.delete(f"{bank.api}/v1/rejected", headers=headers).status_code == 400
    assert get(bank, "/v1/rejected")["rows"] == []
    names = {one["name"]: one["rows"] for one in get(bank, "/v1/schema")["events"]}
    assert names == {"order": 1, "pay": 1}
    history = get(bank, "/v1/plan/history", bank.read)["versions"]
    assert [one["version"] for one in history] == [2, 1]
    assert history[0]["changes"] == ["+ event order"]


def test_the_debug_view_of_sensors_sdks_says_what_the_plan_makes_of_records(bank):
    """A wrong one is told as an error, which the SDKs show; what was changed is said, too."""

    def debug(*records, dry):
        data = base64.b64encode(json.dumps(records).encode()).decode()
        headers = {"Dry-Run": "true"} if dry else {}
        url = f"{bank.url}/debug?project=app&token={bank.key}"
        answer = HTTP.post(url, data={"data_list": data}, headers=headers)
        return answer.status_code, answer.text

    def record(event, **properties):
        return {
            "type": "track",
            "event": event,
            "time": now(),
            "distinct_id": "u1",
            "properties": {"$lib": "python", **properties},
        }

    for dry in (True, False):
        stored = "valid" if dry else "stored"
        assert debug(record("pay", amount=1.5), dry=dry) == (200, stored + "\n")
        status, text = debug(
            record("pay", amount=1.5, pin=PIN, colour="red"),
            record("pay", amount="2.5"),
            dry=dry,
        )
        assert status == 200
        assert text.splitlines() == [
            stored,
            "event 0: sensitive_refused properties.pin",
            "event 0: unknown_property properties.colour",
            "event 1: type_cast properties.amount",
        ]
        status, text = debug(record("pay"), record("nope"), record("pay", amount="much"), dry=dry)
        assert status == 400
        first, *lines = text.splitlines()
        assert first == ("not stored:" if dry else "in the quarantine:")
        said = [line for line in lines if not line.startswith(" ")]
        assert said[0].startswith("event 1: unknown_event event: the plan has no event")
        assert said[1].startswith("event 2: type_mismatch properties.amount: ")
        assert len(said) == 2
        status, text = debug({**record("pay"), "distinct_id": ""}, record("nope"), dry=dry)
        assert status == 400
        assert "unknown_event" in text
        assert PIN not in text
    bank.stop()
    with zuji.open(bank.data, "app", mode="r") as engine:
        assert engine.status()["rows"] == 4
        assert sum(one["reason"] == "unknown_event" for one in engine.rejected()) == 2


def test_values_are_for_admins(bank):
    send(bank, [event("nope", city="hz")])
    (mine,) = get(bank, "/v1/rejected")["rows"]
    (theirs,) = get(bank, "/v1/rejected", bank.read)["rows"]
    assert mine["event"]["properties"] == {"city": "hz"}
    assert theirs["event"]["properties"] == {"city": "string"}
    assert theirs["event"]["user_id"] == "u1"


def test_counters_by_sdk_and_app_version(bank):
    lib = {"$lib": "python", "$lib_version": "1.11", "$app_version": "8.0"}
    send(bank, [event("nope", **lib), event("nope", **lib), event(color=1, **lib), event("other")])
    send(bank, [event("nope", **lib)], batch_id="again")
    send(bank, [event("nope", **lib)], batch_id="again")
    rows = get(bank, "/v1/quality", bank.read)["rows"]
    found = {(r["reason"], r["severity"], r["sdk"], r["app"]): r["events"] for r in rows}
    assert found == {
        ("unknown_event", "rejected", "python 1.11", "8.0"): 3,
        ("unknown_event", "rejected", "", ""): 1,
        ("unknown_property", "warning", "python 1.11", "8.0"): 1,
    }
    day = rows[0]["day"]
    assert get(bank, f"/v1/quality?from={day}&to={day}")["rows"] == rows
    assert get(bank, "/v1/quality?to=2020-01-01")["rows"] == []
    bank.stop(signal.SIGTERM)
    table = zuji_command("quality", *bank.place, "--format", "json")
    assert json.loads(table) == rows


@contextmanager
def watching(server, query, headers):
    """Messages of the live view, as they come."""
    told, ready = [], threading.Event()

    def read():
        with httpx.Client(verify=False, timeout=30) as http:
            url = f"{server.api}/v1/live{query}"
            with http.stream("GET", url, headers=headers) as answer:
                kind = ""
                for line in answer.iter_lines():
                    if line.startswith(":"):
                        ready.set()
                    elif line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        told.append((kind, json.loads(line.removeprefix("data: "))))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert ready.wait(15)
    yield told
    server.stop(signal.SIGTERM)  # which ends the stream
    thread.join(15)
    assert not thread.is_alive()
    assert told[-1] == ("end", {"code": "stopping"})


def test_the_live_view_of_a_device(bank):
    with watching(bank, "?device=d1", bank.admin) as told:
        other = {**event(amount=9), "device_id": "d2"}
        send(bank, [event(amount="2.5", color=1), other, event("nope", id_card=SECRET)])
        until(lambda: len(told) == 2)
        stored, refused = (said for _, said in told)
        assert stored["outcome"] == "stored"
        assert stored["event"]["properties"] == {"amount": 2.5}
        assert [(n["code"], n["path"]) for n in stored["notes"]] == [
            ("type_cast", "properties.amount"),
            ("unknown_property", "properties.color"),
        ]
        assert (refused["outcome"], refused["code"]) == ("rejected", "unknown_event")
        assert refused["event"]["properties"]["id_card"].startswith("tok_")


def test_the_live_view_hides_values_from_read_keys(bank):
    with watching(bank, "", bank.read) as told:
        send(bank, [event(amount=1.5, city="hz")], batch_id="b")
        send(bank, [event(amount=1.5, city="hz")], batch_id="b")
        until(lambda: len(told) == 2)
        assert [said["outcome"] for _, said in told] == ["stored", "repeat"]
        assert told[0][1]["event"]["properties"] == {"amount": "float64", "city": "string"}


def test_a_plan_set_on_the_command_line_counts_without_a_restart(bank, tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({**PLAN, "events": [{"name": "other"}]}))
    zuji_command("plan", "set", file, *bank.place)
    until(lambda: send(bank, [event("other")])["accepted"])


def test_the_commands_about_the_quarantine_with_a_server_and_without(bank, tmp_path):
    send(bank, [event("nope", city="hz"), event("gone"), event("more")])
    remote = ("--url", bank.api, "--key", bank.admin_key)
    ids = [row["id"] for row in json.loads(zuji_command("rejected", "list", *remote, "-f", "json"))]
    assert len(ids) == 3
    assert json.loads(zuji_command("rejected", "show", ids[0], *remote))["event"]["event"] == "nope"
    zuji_command("rejected", "fix", *remote, "--id", ids[0], "--rename-event", "nope=pay")
    zuji_command("rejected", "discard", *remote, "--id", ids[1], "--yes")
    bank.stop(signal.SIGTERM)
    left = json.loads(zuji_command("rejected", "list", *bank.place, "-f", "json"))
    assert [row["id"] for row in left] == ids[2:]
    fix = ("rejected", "fix", *bank.place, "--id", ids[2], "--rename-event", "more=pay")
    (row,) = json.loads(zuji_command(*fix, "--set", "amount=2", "--dry-run"))
    assert row["event"]["properties"] == {"amount": 2.0}
    zuji_command(*fix)
    assert json.loads(zuji_command("rejected", "list", *bank.place, "-f", "json")) == []
    with zuji.open(bank.data, "app", mode="r") as engine:
        assert engine.status()["rows"] == 2


def test_the_terminal_shows_what_comes(bank):
    import subprocess
    import sys

    from tests.serving import ENVIRONMENT

    command = [sys.executable, "-m", "zuji", "live", "--url", bank.api, "--key", bank.admin_key]
    with subprocess.Popen(
        [*command, "--device", "d1"],
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as tail:
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(iter(tail.stdout.readline, "")))
        reader.start()

        def seen():
            send(bank, [event("nope")])
            return lines

        until(seen)
        bank.stop(signal.SIGTERM)
        assert tail.wait(20) == 0
        reader.join(10)
    assert "unknown_event at event" in lines[0]
