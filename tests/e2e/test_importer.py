"""Imports as their users run them: every form, both targets, kill -9 and a bad network."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import zuji
from tests.importing import Flaky, Forking
from tests.serving import Live, zuji_command
from zuji.engine.export import read_events

T0 = 1_790_784_000_000  # 2026-10-01 in Shanghai
KILLS = 20
QUESTION = {
    "model": "event",
    "time": {"from": "2026-10-01", "to": "2026-10-03", "grain": "day"},
    "body": {
        "series": [
            {"e": "open", "as": "opens"},
            {"e": "pay", "measure": "users", "as": "payers"},
            {"e": "pay", "measure": {"sum": "event.amount"}, "as": "paid"},
        ]
    },
    "by": [{"p": "event.city"}],
}


def rows(count, seed=1):
    rng = random.Random(seed)
    return [
        {
            "event": rng.choice(["open", "pay"]),
            "time": T0 + rng.randrange(3 * 86_400_000),
            "user_id": f"u{rng.randrange(50)}",
            "city": rng.choice(["北京", "上海", "Köln"]),
            "amount": rng.randrange(4000) / 4,
            "n": n,
        }
        for n in range(count)
    ]


def csv_bytes(table):
    out = io.StringIO()
    writer = csv.DictWriter(out, table[0])
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue().encode()


def native_bytes(table):
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in table)


def sensors_bytes(table, **more):
    lines = []
    for row in table:
        record = {
            "type": "track",
            "event": row["event"],
            "time": row["time"],
            "distinct_id": row["user_id"],
            "login_id": row["user_id"],
            "properties": {k: row[k] for k in ("city", "amount", "n")},
            "_flush_time": row["time"] + 5,
            **more,
        }
        lines.append(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    return b"".join(lines)


def numbers_in(data, project="default"):
    """Property ``n`` of every stored event."""
    with zuji.open(str(data), project, mode="r") as engine:
        return sorted(int(n) for table in read_events(engine) for n in table["n"].to_pylist())


def answer(data, project="default"):
    with zuji.open(str(data), project, mode="r") as engine:
        return engine.query(QUESTION).rows


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return Forking(tmp_path_factory.mktemp("commands"))


@pytest.fixture
def live(tmp_path):
    found = []

    def make(name="served"):
        server = Live(tmp_path / name)
        server.start()
        found.append(server)
        return server

    yield make
    for server in found:
        server.stop()


def several(data, names):
    """A server with a project for each name, and their keys."""
    server = Live(data)
    keys = {}
    for name in names:
        project = f"of-{name[0]}"
        zuji.open(str(data), project).close()
        keys[name] = zuji_command(
            *("key", "create", "--data", data, "--project", project, "--write")
        )
    server.start()
    return server, keys


def test_the_same_data_gives_the_same_answers_whatever_way_it_came(tmp_path, commands):
    table = rows(3000)
    files = {
        "a.csv": csv_bytes(table),
        "b.jsonl": native_bytes(table),
        "c.json": sensors_bytes(table),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "d.parquet", row_group_size=700)
    answers = {}
    server, keys = several(tmp_path / "served", [*files, "d.parquet"])
    for name in keys:
        local = tmp_path / f"local-{name}"
        status, said = commands.run("import", tmp_path / name, "-d", local)
        assert status == 0, said
        assert "3,000 stored" in said
        answers[name] = answer(local)
        status, said = commands.run(
            "import", tmp_path / name, "--to", server.url, "--key", keys[name]
        )
        assert status == 0, said
        assert "3,000 stored" in said
    server.stop()
    for name in keys:
        answers[f"remote {name}"] = answer(server.data, f"of-{name[0]}")
        assert numbers_in(server.data, f"of-{name[0]}") == list(range(3000))
    first = answers["a.csv"]
    assert sum(row[-1] for row in first if "opens" in row) == sum(
        row["event"] == "open" for row in table
    )
    for name, found in answers.items():
        assert found == first, name


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_kill_9_at_any_time_loses_nothing_and_repeats_nothing(tmp_path, commands, kind):
    chance = random.Random(5)
    total = 6000
    path = tmp_path / f"f.{kind}"
    path.write_bytes(csv_bytes(rows(total)) if kind == "csv" else sensors_bytes(rows(total)))
    kills = rounds = 0
    while kills < KILLS:
        rounds += 1
        data = tmp_path / f"data{rounds}"
        command = ("import", path, "-d", data, "--append-rows", 500, "--no-compact", "-q")
        span = 0.3
        for _ in range(200):
            status, said = commands.run(*command, kill_after=chance.random() * span)
            if status != -9:
                assert status == 0, said
                break
            kills += 1
            span *= 1.05 if kills < KILLS else 1.5  # however slow the machine is, it ends
        assert status == 0
        assert numbers_in(data) == list(range(total))
        status, said = commands.run("import", path, "-d", data, "--append-rows", 500)
        assert status == 0
        assert "was imported before, nothing to do" in said
        assert rounds < 20


def test_kill_9_and_a_bad_network_before_a_collector(tmp_path, commands, live):
    chance = random.Random(6)
    total = 20_000
    server = live()
    path = tmp_path / "f.json"
    path.write_bytes(sensors_bytes(rows(total)))
    proxy = Flaky(server.address, {"busy": 0.2, "drop": 0.2, "lose": 0.2})
    try:
        command = ("import", path, "--to", proxy.url, "--key", server.key, "-q")
        kills, span = 0, 0.2
        for _ in range(300):
            status, said = commands.run(*command, kill_after=chance.random() * span)
            if status != -9:
                assert status == 0, said
                if kills >= KILLS:
                    break
                (tmp_path / next(tmp_path.glob(".f.json.zuji-*.json"))).unlink()  # once more
                continue
            kills += 1
            span *= 1.0 if kills < KILLS else 1.3
        assert status == 0
        assert kills >= KILLS
        assert proxy.broken > 5
        status, said = commands.run(*command[:-1])
        assert (status, "was imported before, nothing to do" in said) == (0, True)
    finally:
        proxy.close()
    server.stop()
    assert numbers_in(server.data, "app") == list(range(total))
    assert server.key not in next(tmp_path.glob(".f.json.zuji-*.json")).read_text()


def test_a_collector_that_is_killed_and_comes_back(tmp_path, commands, live):
    import signal
    import threading
    import time

    server = live()
    path = tmp_path / "f.json"
    path.write_bytes(sensors_bytes(rows(30_000)))
    done = []
    worker = threading.Thread(
        target=lambda: done.append(
            commands.run("import", path, "--to", server.url, "--key", server.key)
        )
    )
    worker.start()
    for _ in range(3):
        time.sleep(0.3)  # wherever the import may be then
        server.stop(signal.SIGKILL)
        server.start()
    worker.join()
    assert done[0][0] == 0, done[0][1]
    server.stop()
    assert numbers_in(server.data, "app") == list(range(30_000))


def test_wrong_keys_and_addresses_end_at_once(tmp_path, commands, live):
    server = live()
    path = tmp_path / "f.json"
    path.write_bytes(sensors_bytes(rows(10)))
    read_only = server.key[:-4] + "aaaa"
    for to, key, word in (
        (server.url, read_only, "does not know this key"),
        (server.url + "/sa", server.key, "address alone"),
        (server.api, server.key, "answers 404"),
        ("ftp://x", server.key, "address alone"),
    ):
        status, said = commands.run("import", path, "--to", to, "--key", key)
        assert status in (2, 3), said
        assert word in said
    status, said = commands.run(
        "import", path, "--to", "http://127.0.0.1:9", "--key", "k", "--patience", 0
    )
    assert status == 3
    assert "the same command goes on" in said
    assert list(tmp_path.glob(".f.json*")) == []
    for both in ((), ("--to", server.url, "--data", tmp_path / "data")):
        status, said = commands.run("import", path, *both)
        assert (status, "--data" in said, "--to" in said) == (2, True, True)
    everywhere = {"ZUJI_DATA": str(tmp_path / "data"), "ZUJI_KEY": server.key}
    status, said = commands.run("import", path, "--to", server.url, environment=everywhere)
    assert (status, "10 stored" in said) == (0, True)
    assert not (tmp_path / "data").exists()


def test_a_dry_run_for_a_collector_asks_for_its_key_and_sends_nothing(tmp_path, commands, live):
    server = live()
    path = tmp_path / "f.json"
    path.write_bytes(sensors_bytes(rows(10)) + b"{broken\n")
    command = ("import", path, "--to", server.url, "--dry-run", "--key")
    status, said = commands.run(*command, server.key)
    assert status == 1
    assert "takes this key" in said
    assert "10 would be stored" in said
    assert "bad_json: 1" in said
    assert commands.run(*command, "zk_write_x_y")[0] == 3
    server.stop()
    assert numbers_in(server.data, "app") == []


def test_a_changed_file_is_an_error_until_it_is_imported_anew(tmp_path, commands):
    path = tmp_path / "f.json"
    path.write_bytes(sensors_bytes(rows(3000)))
    command = ("import", path, "-d", tmp_path / "data", "--append-rows", 500, "--limit")
    assert commands.run(*command, 1000)[0] == 0
    path.write_bytes(sensors_bytes(rows(2000, seed=2)))
    status, said = commands.run(*command, 100_000)
    assert status == 2
    assert "was changed since its import stopped" in said
    assert "--anew" in said
    status, said = commands.run(*command, 100_000, "--anew")
    assert (status, "2,000 stored" in said) == (0, True)
    path.write_bytes(sensors_bytes(rows(10, seed=3)))  # after a finished import it is a new one
    status, said = commands.run(*command, 100_000)
    assert (status, "10 stored" in said) == (0, True)


def test_rejects_of_a_killed_import_count_and_are_listed_once(tmp_path, commands, live):
    """Lines that are no records stand in the rejects file once, however often they are read."""
    chance = random.Random(7)
    table = sensors_bytes(rows(4000)).splitlines(keepends=True)
    for place in range(50, 4000, 100):
        table[place] = b"{broken\n"
    path = tmp_path / "f.json"
    path.write_bytes(b"".join(table))
    server = live()
    command = ("import", path, "--to", server.url, "--key", server.key, "--rejects")
    bad = tmp_path / "bad.jsonl"
    kills, span = 0, 0.15
    while True:
        status, said = commands.run(*command, bad, kill_after=chance.random() * span)
        if status != -9:
            break
        kills += 1
        span *= 1.25
    assert status == 1, said
    assert kills > 0
    assert "40 refused" in said
    listed = [json.loads(line) for line in bad.read_text().splitlines()]
    assert [one["row"] for one in listed] == list(range(51, 4001, 100))
    assert {one["reason"] for one in listed} == {"bad_json"}


def test_what_a_collector_refuses_is_listed_though_its_answers_are_lost(tmp_path, commands, live):
    table = rows(6000)
    for n in range(0, 6000, 100):
        del table[n]["user_id"]
        table[n]["device_id"] = None
    path = tmp_path / "f.jsonl"
    path.write_bytes(native_bytes(table))
    server = live()
    proxy = Flaky(server.address, {"lose": 0.6})
    bad = tmp_path / "bad.jsonl"
    try:
        command = ("import", path, "--to", proxy.url, "--key", server.key, "--rejects", bad)
        status, said = commands.run(*command)
    finally:
        proxy.close()
    assert proxy.broken > 0
    assert status == 1, said
    assert "60 refused" in said
    listed = [json.loads(line) for line in bad.read_text().splitlines()]
    assert [(one["row"], one["reason"]) for one in listed] == [
        (n + 1, "missing_id") for n in range(0, 6000, 100)
    ]
    server.stop()
    assert numbers_in(server.data, "app") == [n for n in range(6000) if n % 100]


def test_items_are_stored(tmp_path, commands, live):
    item = {"type": "item_set", "item_type": "good", "item_id": "7", "properties": {"x": ["a"]}}
    wrong = {**item, "item_id": "6", "properties": {"x": [1, {}]}}
    detail = {**item, "type": "detail_set"}
    lines = sensors_bytes(rows(5))
    lines += b"".join(json.dumps(one).encode() + b"\n" for one in (item, wrong, detail))
    (tmp_path / "f.json").write_bytes(lines)
    (tmp_path / "g.csv").write_text("kind,sku,price\ngood,8,1.5\n,9,2\n")
    server = live()
    to = ("--to", server.url, "--key", server.key)
    for target, data, project in (
        (("-d", tmp_path / "data"), tmp_path / "data", "default"),
        (to, server.data, "app"),
    ):
        for _ in range(2):
            status, said = commands.run("import", tmp_path / "f.json", *target)
            assert (status == 1) == ("bad_value 1" in said), said
        kind = ("--kind", "item", "--item-type", "kind", "--item-id", "sku")
        status, said = commands.run("import", tmp_path / "g.csv", *target, *kind)
        assert status == 1
        assert "missing_id 1" in said
        server.stop()
        with zuji.open(str(data), project, mode="r") as engine:
            kept = [(one["reason"], one["event"]["item_id"]) for one in engine.rejected()]
            assert sorted(kept) == [("bad_value", "6"), ("kept_item", "7")]
            assert engine.items.page("good") == [("7", {"x": ["a"]}), ("8", {"price": 1.5})]
        if target is not to:
            server.start()


def test_the_examples_of_the_page_run(tmp_path, commands):
    text = (Path(__file__).parents[2] / "docs/cli.md").read_text("utf-8").split("## import\n")[1]
    examples = re.search(r"```sh\n(.*?)```", text, re.DOTALL).group(1).splitlines()
    made = {
        "events.csv": "what,at,customer,tags\nopen,2026-10-01 08:00:00,c1,a|b\n",
        "members.csv": "customer,level\nc1,gold\n",
        "signups.csv": "customer,phone\nc1,p1\n",
        "goods.csv": "kind,sku,price\nbook,1,2.5\n",
        "access.log": '1.2.3.4 - - [01/Oct/2026:12:00:00 +0800] "GET /pay?uid=d7 HTTP/1.1" '
        '200 5 "-" "-"\n',
        "records.json": sensors_bytes(rows(3)).decode(),
    }
    for name, content in made.items():
        (tmp_path / name).write_text(content, "utf-8")
    import shlex

    assert len(examples) >= 6
    for example in examples:
        words = shlex.split(example)
        assert words[:1] == ["zuji"]
        words = [str(tmp_path / w) if w in made or w == "data" else w for w in words[1:]]
        status, said = commands.run(*words)
        assert status == 0, (example, said)
    with zuji.open(str(tmp_path / "data"), mode="r") as engine:
        events = {row["name"]: row["rows"] for row in engine.events()}
        kinds = {row["name"]: row["kind"] for row in engine.properties()}
    assert events["$SignUp"] == 1
    assert events["pay"] >= 1
    assert kinds["tags"] == "list"
    assert kinds["level"] == "string"


def test_so_many_refused_rows_are_allowed(tmp_path, commands):
    lines = sensors_bytes(rows(10)) + b"{broken\n" * 3
    for allowed, wanted in (("2", 1), ("3", 0), ("all", 0), ("none", 2)):
        path = tmp_path / f"{allowed}.json"
        path.write_bytes(lines)
        status, said = commands.run(
            *("import", path, "-d", tmp_path / "data", "--allow-rejects", allowed)
        )
        assert status == wanted, said


def test_a_dry_run_knows_the_types_of_the_project_and_looks_at_everything(tmp_path, commands):
    data = tmp_path / "data"
    (tmp_path / "a.json").write_bytes(sensors_bytes(rows(10)))
    assert commands.run("import", tmp_path / "a.json", "-d", data)[0] == 0
    before = {p: p.stat().st_size for p in data.rglob("*") if p.is_file()}
    other = [{**row, "amount": "much"} for row in rows(1500)]
    (tmp_path / "b.json").write_bytes(sensors_bytes(rows(1500)) + sensors_bytes(other))
    status, said = commands.run("import", tmp_path / "b.json", "-d", data, "--dry-run")
    assert status == 1
    assert "all 3,000 rows: 1,500 would be stored" in said
    assert "type_mismatch: 1,500" in said
    assert "b.json:1501: type_mismatch" in said
    assert {p: p.stat().st_size for p in data.rglob("*") if p.is_file()} == before


def test_an_access_log_goes_in_like_any_file(tmp_path, commands, live):
    line = '10.0.0.1 - - [01/Oct/2026:12:00:{:02} +0800] "GET {} HTTP/1.1" 200 5 "-" "uid=d{}"\n'
    paths = ["/pay", "/x.gif", "/open", "/pay"]
    text = "".join(line.format(n, path, n % 2) for n, path in enumerate(paths))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/access.log").write_text(text + line.format(9, "/pay", "").replace("uid=", ""))
    server = live()
    options = ("--format", "nginx", "--client-id", r"uid=(?P<id>\w+)", "--skip-path", r"\.gif$")
    options += ("--event-rule", "^/pay=pay", "--event-name", "view")
    for target in (("-d", tmp_path / "data"), ("--to", server.url, "--key", server.key)):
        status, said = commands.run("import", tmp_path / "logs", *target, *options)
        assert status == 1, said
        assert "3 stored" in said
        assert "missing_id 1" in said
        assert "1 left out" in said
    server.stop()
    for data, project in ((tmp_path / "data", "default"), (server.data, "app")):
        with zuji.open(str(data), project, mode="r") as engine:
            found = {row["name"]: row["rows"] for row in engine.events()}
            names = {row["name"] for row in engine.properties()}
        assert found == {"pay": 2, "view": 1}
        assert {"path", "status", "method", "bytes"} <= names
        assert not {"remote_addr", "client_id"} & names
