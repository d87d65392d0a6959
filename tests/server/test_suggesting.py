"""Values of properties and examples of events, for whoever builds a query."""

from __future__ import annotations

import pytest

from tests.server.signing import Console, code

AT = "/v1/values?project=bank"
SAMPLE = "/v1/events/sample?project=bank"


@pytest.fixture(scope="module")
def ann(tmp_path_factory):
    console = Console(tmp_path_factory.mktemp("data"))
    engine = console.projects.get("bank").engine
    events = [
        {
            "event": "pay" if n % 2 else "view",
            "time": f"2026-01-05T09:00:{n:02}+08:00",
            "user_id": f"u{n}",
            "properties": {
                "city": ("北京", "Shanghai", "SHANGRI-LA (x)")[n % 3],
                "amount": n // 10,
                "vip": n % 2 == 0,
                "labels": ["a", f"b{n % 2}"],
            },
        }
        for n in range(30)
    ]
    events.append(
        {
            "event": "pay",
            "time": "2025-01-01T09:00:00+08:00",
            "user_id": "old",
            "properties": {"city": "Lhasa"},
        }
    )
    events.append(
        {"event": "tap", "time": "2026-01-05T09:00:00+08:00", "device_id": "d1", "properties": {}}
    )
    engine.append(events)
    yield console.signed_in("viewer")
    console.close()


def values(ann, asked):
    answer = ann.get(f"{AT}&{asked}")
    assert answer.status_code == 200, answer.text
    return [(one["value"], one["count"]) for one in answer.json()["values"]]


def test_the_most_frequent_values_come_first_of_the_last_days(ann):
    found = values(ann, "property=event.city")
    assert dict(found) == {"北京": 10, "Shanghai": 10, "SHANGRI-LA (x)": 10}  # Lhasa is long ago
    assert len(values(ann, "property=event.city&limit=2")) == 2
    assert sum(count for _, count in values(ann, "property=event.city&event=pay")) == 15


@pytest.mark.parametrize(
    ("p", "text", "wanted"),
    [
        ("event.city", "shang", {"Shanghai", "SHANGRI-LA (x)"}),
        ("event.city", "京", {"北京"}),
        ("event.city", "(x)", {"SHANGRI-LA (x)"}),
        ("event.city", ".*", set()),
        ("event.city", "LA (", {"SHANGRI-LA (x)"}),
        ("event.amount", "2", {2}),
        ("event.vip", "tr", {True}),
        ("event.labels", "B", {"b0", "b1"}),
        ("event.$name", "PA", {"pay"}),
    ],
)
def test_a_part_of_a_value_finds_it(ann, p, text, wanted):
    answer = ann.client.get(AT, params={"project": "bank", "property": p, "q": text})
    assert {one["value"] for one in answer.json()["values"]} == wanted


def test_examples_are_the_newest_of_the_event(ann):
    rows = ann.get(SAMPLE + "&event=pay&limit=3").json()["rows"]
    assert [row["user_id"] for row in rows] == ["u29", "u27", "u25"]
    assert rows[0]["properties"]["city"] == "SHANGRI-LA (x)"
    assert rows[0]["time"] == "2026-01-05T09:00:29+08:00"
    (row,) = ann.get(SAMPLE + "&event=tap").json()["rows"]
    assert (row["user_id"], row["device_id"]) == (None, "d1")


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (AT, (400, "invalid_input")),
        (AT + "&property=", (400, "invalid_input")),
        (AT + "&property=nonsense", (400, "invalid_query")),
        (AT + "&property=event.city&event=none", None),
        (AT + "&property=event.city&limit=x", (400, "invalid_input")),
        (AT + "&property=event.city&q=" + "x" * 101, (400, "invalid_input")),
        (SAMPLE, (400, "invalid_input")),
        (SAMPLE + "&event=none", (404, "not_found")),
        (SAMPLE + "&event=pay&limit=-1", (400, "invalid_input")),
    ],
)
def test_nonsense_is_refused(ann, path, wanted):
    answer = ann.get(path)
    if wanted is None:
        assert answer.json()["values"] == [] or code(answer)[0] == 400
    else:
        assert code(answer) == wanted


def test_an_empty_project_has_none(tmp_path):
    console = Console(tmp_path)
    browser = console.signed_in("viewer")
    assert browser.get(AT + "&property=event.city").json()["values"] == []
    console.close()
