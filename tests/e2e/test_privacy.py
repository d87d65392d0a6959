"""Erasing people, exporting what is held and time to live: from the command line, over the API."""

import base64
import io
import json
import zipfile

import httpx
import pytest

from tests.e2e.test_cli import call, good
from tests.e2e.test_serve import served, zuji_key

ROWS = "".join(
    f"u{n % 3},{event},2025-{month:02d}-01,{n}\n"
    for n, (event, month) in enumerate([("view", 1), ("pay", 1), ("view", 6), ("pay", 7)] * 3)
)
QUERY = {
    "model": "event",
    "time": {"from": "2025-01-01", "to": "2025-12-31", "grain": "all"},
    "body": {"series": [{"e": "*", "measure": "users"}, {"e": "*"}]},
}
LAST = "u2"


@pytest.fixture
def data(tmp_path):
    (tmp_path / "f.csv").write_text("user,event,time,amount\n" + ROWS)
    good("import", "f.csv", "-d", "data", "--user", "user", cwd=tmp_path)
    return tmp_path / "data"


def asked(data):
    (data.parent / "q.json").write_text(json.dumps(QUERY))
    answer = good("query", "q.json", "-d", "data", "--format", "json", cwd=data.parent)
    return [row[-1] for row in json.loads(answer)["rows"]]


def test_a_person_is_exported_and_erased_from_a_directory_and_from_its_backup(data, tmp_path):
    place = {"cwd": tmp_path}
    lines = good("export-user", "--user-id", LAST, "-d", "data", **place).splitlines()
    things = [json.loads(line) for line in lines]
    assert [thing["kind"] for thing in things] == ["person", *["event"] * 4]
    assert {thing["properties"]["amount"] for thing in things[1:]} == {2, 5, 8, 11}
    good("export-user", "--user-id", LAST, "-d", "data", "-o", "u.zip", **place)
    with zipfile.ZipFile(tmp_path / "u.zip") as archive:
        assert archive.namelist() == ["event.jsonl", "person.jsonl"]
        assert len(archive.read("event.jsonl").splitlines()) == 4
    good("compact", "-d", "data", **place)
    backup = {file: file.read_bytes() for file in data.rglob("*") if file.is_file()}
    assert asked(data) == [3, 12]
    (tmp_path / "ids.txt").write_text(f"{LAST}\n\nnobody\n")
    where = ("-d", "data", "--file", "ids.txt", "--by", "clerk")
    assert call("erase", *where, **place).returncode == 2  # --yes
    good("erase", *where, "--yes", **place)
    assert asked(data) == [2, 8]
    good("erase", "--purge", "-d", "data", **place)
    good("erase", "--save-ledger", "kept.jsonl", "-d", "data", **place)
    (entry,) = json.loads(good("erase", "--list", "-d", "data", **place))
    assert (entry["by"], entry["ids"], entry["done"]) == ("clerk", 2, True)
    assert LAST not in (tmp_path / "kept.jsonl").read_text()
    assert call("export-user", "--user-id", LAST, "-d", "data", **place).returncode == 3
    for file in data.rglob("*"):
        if file.is_file():
            file.unlink()
    for file, text in backup.items():
        file.write_bytes(text)
    assert asked(data) == [3, 12]
    good("erase", "--replay-ledger", "--ledger", "kept.jsonl", "-d", "data", **place)
    assert asked(data) == [2, 8]
    assert good("scrub", "-d", "data", **place) is not None


def test_months_that_have_lived_for_long_enough_go(data, tmp_path):
    place = {"cwd": tmp_path}
    told = json.loads(
        good("ttl", "--months", "1", "--event", "pay=ever", "-d", "data", "--dry-run", **place)
    )
    assert told["rows"] == 6
    assert [each["partition"] for each in told["partitions"]] == ["2025-01", "2025-06"]
    assert asked(data) == [3, 12]
    assert call("ttl", "--apply", "-d", "data", **place).returncode == 2  # --yes
    good("ttl", "--apply", "--yes", "--by", "me", "-d", "data", **place)
    assert asked(data)[1] == 6
    shown = json.loads(good("ttl", "-d", "data", **place))
    assert shown["settings"] == {"months": 1, "events": {"pay": None}}
    assert shown["plan"]["rows"] == 0
    (note,) = shown["applied"]
    assert (note["by"], note["rows"], note["events"]) == ("me", 6, {"view": 6})


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["erase", "--yes"], 2, "whom"),
        (["erase", "--id", "phone", "--yes"], 2, "TYPE=ID"),
        (["erase", "--id", "user=1", "--yes"], 2, "did you mean user_id"),
        (["erase", "--file", "none.txt", "--yes"], 3, "none.txt"),
        (["erase", "--replay-ledger", "--ledger", "f.csv"], 3, "no ledger"),
        (["export-user"], 2, "one person"),
        (["export-user", "--user-id", "nobody"], 3, "nobody is known"),
        (["ttl", "--months", "soon"], 2, "number of months"),
        (["ttl", "--months", "0"], 2, "from 1 to"),
        (["ttl", "--event", "pay"], 2, "NAME=N"),
        (["ttl", "--event", "$profile_set=3"], 2, "stay"),
    ],
)
def test_nonsense_is_told_in_a_line(data, tmp_path, arguments, status, said):
    done = call(*arguments, "-d", "data", cwd=tmp_path)
    assert (done.returncode, said in done.stderr.decode()) == (status, True), done.stderr


def test_a_server_does_the_same(data, tmp_path):
    admin, reads = (zuji_key(data, "create", kind) for kind in ("--admin", "--read"))
    with served(data) as server:

        def ask(method, path, body=None, key=admin, **more):
            return httpx.request(
                method,
                server.api + path,
                json=body,
                headers={"Authorization": f"Bearer {key}"},
                **more,
            )

        assert ask("GET", "/v1/erasures", key=reads).status_code == 403
        assert ask("POST", "/v1/users/export", {"user_id": "nobody"}).status_code == 404
        assert ask("POST", "/v1/erasures", {"people": []}).status_code == 400
        assert ask("POST", "/v1/erasures", {"people": [{"name": "x"}]}).status_code == 400
        lines = ask("POST", "/v1/users/export", {"user_id": LAST}).text.splitlines()
        assert len(lines) == 5
        packed = ask("POST", "/v1/users/export?form=zip", {"user_id": LAST}).content
        assert zipfile.ZipFile(io.BytesIO(packed)).namelist() == ["event.jsonl", "person.jsonl"]
        done = ask(
            "POST",
            "/v1/erasures",
            {"people": [{"user_id": LAST}], "reason": "asked", "purge": True},
        ).json()
        assert done["erased"] == 1
        assert done["purged"]["rows"] == 4
        (entry,) = ask("GET", "/v1/erasures").json()["rows"]
        assert entry["by"].startswith("key ")
        ledger = ask("GET", "/v1/erasures/ledger").content
        assert json.loads(ledger)["reason"] == "asked"
        replayed = ask("POST", "/v1/erasures/replay", None).json()
        assert replayed["entries"] == 0
        made = ask("PUT", "/v1/ttl", {"months": 1, "events": {"pay": None}})
        assert made.json() == {"months": 1, "events": {"pay": None}}
        assert ask("PUT", "/v1/ttl", {"months": -1}).status_code == 400
        plan = ask("POST", "/v1/ttl/apply", {"dry_run": True}).json()
        assert plan["rows"] == 4
        assert ask("POST", "/v1/ttl/apply").json()["rows"] == 4
        assert ask("GET", "/v1/ttl").json()["applied"][0]["rows"] == 4
        # The command line asks the server that has the project open.
        place = {"cwd": tmp_path}
        assert call("erase", "--user-id", "u1", "--yes", "-d", "data", **place).returncode == 3
        remote = ("--url", server.api, "--key", admin)
        good("erase", "--user-id", "u1", "--yes", "--purge", *remote, **place)
        assert len(json.loads(good("erase", "--list", *remote, **place))) == 2
        good("erase", "--save-ledger", "kept.jsonl", *remote, **place)
        good("erase", "--replay-ledger", "--ledger", "kept.jsonl", *remote, **place)
        exported = good("export-user", "--user-id", "u0", *remote, **place)
        assert len(exported.splitlines()) == 3
        assert json.loads(good("ttl", *remote, **place))["settings"]["months"] == 1


def test_a_server_refuses_who_was_erased_and_counts_it(tmp_path):
    with served(tmp_path, "--dev") as server:
        event = {"event": "go", "user_id": "ann", "time": "2025-10-01T10:00:00Z"}
        batch = {"events": [event, {**event, "user_id": "bob"}]}
        native = f"{server.collect}/v1/events"
        assert httpx.post(native, json=batch).json()["accepted"] == 2
        settings = f"{server.api}/v1/erasures/settings"
        assert httpx.get(settings).json() == {"erased_ids": "accept"}
        assert httpx.put(settings, json={"erased_ids": "perhaps"}).status_code == 400
        assert httpx.put(settings, json={"erased_ids": "refuse"}).json()["erased_ids"] == "refuse"
        httpx.post(f"{server.api}/v1/erasures", json={"people": [{"user_id": "ann"}]})
        told = httpx.post(native, json=batch).json()
        assert (told["accepted"], [r["code"] for r in told["rejected"]]) == (1, ["erased_id"])
        record = {"type": "track", "event": "go", "distinct_id": "ann", "login_id": "ann",
                  "time": 1_759_312_800_000, "properties": {}}  # fmt: skip
        sensors = httpx.post(
            f"{server.collect}/sa?project=default",
            data={"data": base64.b64encode(json.dumps(record).encode()).decode()},
        )
        assert sensors.status_code == 200
        ledger = httpx.get(f"{server.api}/v1/erasures").json()
        assert (ledger["erased_ids"], ledger["refused"]) == ("refuse", {"erased_id": 2})
        page = httpx.get(f"{server.api}/metrics").text
        assert 'zuji_rejected_events_total{project="default",reason="erased_id"} 2.0' in page
        assert httpx.get(f"{server.api}/v1/rejected").json()["rows"] == []
