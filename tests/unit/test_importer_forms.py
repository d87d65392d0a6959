"""CSV of events, users, items and sign-ups: FormatImporter's options, and their errors."""

from __future__ import annotations

import pytest

import zuji
from zuji.engine.errors import InvalidInput
from zuji.engine.export import read_events, read_profiles
from zuji.server.cli.import_jobs import Request, character, job_of, mapping_of
from zuji.server.importer.readers.csv_lines import CsvReader
from zuji.server.importer.rejects import RejectsFile

EVENTS = "what,at,id,city,amount,tags\nopen,2026-10-01 08:00:00,d1,北京,1.5,a|b\n"


def request(tmp_path, *files, said=None, **more):
    paths = []
    for place, text in enumerate(files):
        path = tmp_path / f"f{place}.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append(path)
    return Request(paths, None, "default", None, said or {}, **more)


def imported(tmp_path, asked):
    """(events, profiles, refusals) after an import into a new project."""
    import threading

    from zuji.server.cli.import_jobs import Run

    rejects = RejectsFile(None)
    with zuji.open(tmp_path / "data") as engine:
        for path in asked.files:
            job = job_of(asked, mapping_of(asked), path, engine)
            job.into(engine, asked, Run(rejects, threading.Event()))
        events = [row for table in read_events(engine) for row in table.to_pylist()]
        users = [row for table in read_profiles(engine) for row in table.to_pylist()]
    present = [{k: v for k, v in row.items() if v is not None} for row in events]
    return present, users, rejects


BASE = {"event": "what", "time": "at"}


def test_a_distinct_id_is_a_device_until_it_is_a_login(tmp_path):
    for login, part in ((False, "device_id"), (True, "user_id")):
        folder = tmp_path / part
        folder.mkdir()
        text = EVENTS.replace(",id,", ",user_id,")
        asked = request(folder, text, said={**BASE, "distinct_id": "user_id", "is_login": login})
        ((event,), _, _) = imported(folder, asked)
        assert event[part] == "d1"
        assert {"user_id", "device_id"} & set(event) == {part}


def test_ids_and_times_that_are_the_same_in_all_rows(tmp_path):
    said = {"event": "what", "user_value": "u", "device_value": "d", "time_value": "2026-10-02"}
    ((event,), _, _) = imported(tmp_path, request(tmp_path, EVENTS, said=said))
    assert (event["user_id"], event["device_id"]) == ("u", "d")
    assert event["time"].isoformat() == "2026-10-01T16:00:00+00:00"
    assert "at" in event


def test_lists_types_and_values_that_are_none(tmp_path):
    text = EVENTS + "open,2026-10-01 08:00:01,d2,none,7,\nopen,2026-10-01 08:00:02,d3,x,8,c\n"
    asked = request(
        tmp_path,
        text,
        said={**BASE, "distinct_id": "id"},
        nulls=("none",),
        list_types=("tags",),
        types=("amount=string",),
    )
    events, _, _ = imported(tmp_path, asked)
    events.sort(key=lambda row: row["time"])
    assert [row.get("tags") for row in events] == [["a", "b"], None, ["c"]]
    assert [row["amount"] for row in events] == ["1.5", "7", "8"]
    assert [row.get("city") for row in events] == ["北京", None, "x"]


def test_only_the_named_properties(tmp_path):
    asked = request(tmp_path, EVENTS, said={**BASE, "distinct_id": "id"}, properties=("city", "id"))
    ((event,), _, _) = imported(tmp_path, asked)
    assert (event["city"], event["id"], event["device_id"]) == ("北京", "d1", "d1")
    assert not {"amount", "tags"} & set(event)


def test_users_and_sign_ups(tmp_path):
    members = "id,level\nu1,gold\nu2,\n"
    asked = request(tmp_path, members, said={"kind": "profile", "user": "id"})
    _, users, _ = imported(tmp_path, asked)
    assert {row["user_id"]: row["level"] for row in users} == {"u1": "gold"}
    asked = request(
        tmp_path,
        "login,phone\nu1,p1\n,p2\n",
        said={"kind": "signup", "user": "login", "device": "phone", "time_value": "now"},
    )
    events, _, rejects = imported(tmp_path, asked)
    assert [(row["event"], row["user_id"], row["device_id"]) for row in events][:1] == [
        ("$SignUp", "u1", "p1")
    ]
    assert [row.get("event") for row in events] == ["$SignUp"]
    assert dict(rejects.by_reason) == {"missing_id": 1}


def test_a_file_without_a_header_with_its_own_quotes(tmp_path):
    text = "\ufeff'open';2026-10-01;'d;1'\n'pay';2026-10-02;d2\n'pay';2026-10-02\n"
    asked = request(
        tmp_path,
        text,
        said={**BASE, "distinct_id": "id"},
        columns=("what", "at", "id"),
        quote="'",
        delimiter=";",
    )
    events, _, rejects = imported(tmp_path, asked)
    assert sorted(row["device_id"] for row in events) == ["d2", "d;1"]
    assert dict(rejects.by_reason) == {"wrong_field_count": 1}
    with pytest.raises(InvalidInput, match="--columns names 2"):
        CsvReader(asked.files[0], names=("a", "b"), quote="'", delimiter=";")
    plain = request(tmp_path, 'a,b\n"x,1\n', said={}, quote="")
    reader = CsvReader(plain.files[0], quote="")
    assert [chunk.table.to_pylist() for chunk in reader.chunks()] == [[{"a": '"x', "b": 1}]]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"kind": "item"}, "--item-id and --item-type"),
        ({"kind": "signup", "user": "id", "time_value": "now"}, "--device"),
        ({"event": "what", "distinct_id": "id"}, "--time-value"),
        ({**BASE, "distinct_id": "id", "user": "city"}, "leave out --user"),
        ({**BASE, "user": "id", "user_value": "u"}, "not both"),
        ({**BASE, "user": "id", "time_value": "now"}, "not both"),
        ({"kind": "item", "profile": True}, "--kind profile"),
        ({"event": "what", "user": "id", "time_value": "soon"}, "is not a time"),
        ({**BASE, "distinct_id": "idd"}, r"did you mean .*'id'"),
    ],
)
def test_options_that_do_not_go_together_say_so(tmp_path, said, word):
    asked = request(tmp_path, EVENTS, said=said)
    with pytest.raises(InvalidInput, match=word):
        imported(tmp_path, asked)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"types": ("amount=number",)}, "--type is COLUMN=TYPE"),
        ({"types": ("amount",)}, "--type is COLUMN=TYPE"),
        ({"event_rules": ("a=b",)}, "--format nginx"),
        ({"log_format": "x", "file_format": "csv"}, "leave out --format"),
        ({"log_format": "combined", "event_rules": ("ab",)}, "EXPRESSION=EVENT"),
    ],
)
def test_options_that_cannot_be_read_say_so(tmp_path, more, word):
    asked = request(tmp_path, EVENTS, said={**BASE, "distinct_id": "id"}, **more)
    with pytest.raises(InvalidInput, match=word):
        imported(tmp_path, asked)


def test_characters():
    assert [character(c, "-d") for c in (None, ",", "\\t", "\\9", "\\")] == [
        *(None, ",", "\t", "\t", "\\"),
    ]
    for wrong in ("", "ab", "\\x", "\\999"):
        with pytest.raises(InvalidInput, match="one character"):
            character(wrong, "-d")


def test_every_way_of_reading_is_another_import(tmp_path):
    first = request(tmp_path, EVENTS, said={**BASE, "distinct_id": "id"})
    with zuji.open(tmp_path / "data") as engine:
        keys = {
            job_of(asked, mapping_of(asked), asked.files[0], engine).plan.key
            for asked in (
                first,
                request(tmp_path, EVENTS, said={**BASE, "distinct_id": "id"}),
                *(
                    request(tmp_path, EVENTS, said={**BASE, "distinct_id": "id"}, **more)
                    for more in ({"nulls": ("x",)}, {"types": ("amount=string",)})
                ),
                request(tmp_path, EVENTS, said={**BASE, "distinct_id": "id", "is_login": True}),
            )
        }
    assert len(keys) == 4


HEADER = b"what,at,id\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEADER + b"open,2026-10-", id="half a line"),
        pytest.param(HEADER + "开,2026-10-01,d\n".encode("gb18030"), id="another encoding"),
        pytest.param(HEADER + b"open,2026-10-01," + b"x" * 1_000_000 + b"\n", id="a long line"),
        pytest.param(HEADER + b"\x00" * 1000 + b"\n", id="zeros"),
        pytest.param(HEADER + b'"open,2026-10-01,d\nopen,2026-10-01,d2\n', id="a stray quote"),
        pytest.param(HEADER + b"\xff\n" * 100, id="bytes"),
    ],
)
def test_nonsense_is_refused_with_its_line(tmp_path, data):
    asked = request(tmp_path, data, said={**BASE, "distinct_id": "id"}, file_format="csv")
    events, _, rejects = imported(tmp_path, asked)
    assert rejects.total >= 1
    assert len(events) <= 1


@pytest.mark.parametrize(
    ("data", "word"), [(bytes(range(256)) * 50, "its columns"), (b"", "empty"), (b"\n\n", "empty")]
)
def test_what_is_no_csv_at_all_is_an_error(tmp_path, data, word):
    asked = request(tmp_path, data, said={**BASE, "distinct_id": "id"}, file_format="csv")
    with pytest.raises(InvalidInput, match=word):
        imported(tmp_path, asked)
