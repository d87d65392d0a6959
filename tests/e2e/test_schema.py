"""``GET /v1/schema`` has all that a builder can offer, under the names that queries take."""

import httpx
import pytest

from tests.e2e.test_serve import served

DAY = "2025-10-01T10:00:00Z"
PLAN = {
    "events": [{"name": "pay", "title": "支付", "description": "money moved"}],
    "properties": [{"name": "channel", "title": "渠道", "values": ["app", "counter"]}],
    "user_properties": [{"name": "city", "title": "城市"}],
}
TAGS = [
    {
        "name": "level",
        "else": "none",
        "description": "by count",
        "schedule": {"every": "day", "at": "02:00"},
        "rule": {
            "kind": "layers",
            "layers": [
                {"v": "gold", "if": {"did": {"e": "pay"}}},
                {"v": "iron", "if": {"all": []}},
            ],
        },
    },
    {"name": "agency", "rule": {"kind": "imported", "type": "string"}},
]


def by(entries, key="p"):
    return {one[key]: one for one in entries}


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    with served(tmp_path_factory.mktemp("schema"), "--dev") as server, httpx.Client() as http:

        def sent(method, path, **what):
            answer = http.request(method, f"{server.api}{path}", **what)
            assert answer.status_code == 200, answer.text
            return answer.json()

        events = [
            {
                "event": "pay",
                "user_id": f"u{i}",
                "time": DAY,
                "properties": {"channel": "app", "product_id": "p1", "basket": ["p1", "p2"]},
            }
            for i in range(3)
        ]
        profile = {"type": "profile_set", "user_id": "u1", "time": DAY}
        profile["properties"] = {"city": "Wuhan"}
        batch = {"events": [*events, profile]}
        assert http.post(f"{server.collect}/v1/events", json=batch).json()["rejected"] == []
        sent("PUT", "/v1/plan", json=PLAN)
        definitions = {
            "events": {"deal": {"of": [{"e": "pay"}], "description": "any deal"}},
            "properties": {"event.long": {"type": "int64", "as": "length(event.channel)"}},
        }
        sent("PATCH", "/v1/definitions", json=definitions)
        items = {"items": {"p1": {"brand": "National", "price": 12}}}
        sent("PATCH", "/v1/items/product", json=items)
        sent("PATCH", "/v1/joins", json={"event.product_id": "product", "event.basket": "product"})
        for one in TAGS:
            sent("PUT", "/v1/tags", json=one)
        sent("PUT", "/v1/cohorts", json={"name": "payers", "rule": {"did": {"e": "pay"}}})
        found = sent("GET", "/v1/schema")
        names = [one["p"] for one in found["properties"] if one["scope"] == "event"]
        names += [one["p"] for key in ("tags", "cohorts") for one in found[key]]
        for p in names:  # each name is one that a query takes
            query = {
                "model": "event",
                "time": {"from": "2025-10-01", "to": "2025-10-01"},
                "where": {"p": p, "op": "is_set"},
                "body": {"series": [{"e": "pay"}]},
            }
            sent("POST", "/v1/query", json=query)
        return found


def test_events_have_their_titles_and_virtual_ones_stand_among_them(schema):
    events = by(schema["events"], "name")
    assert (events["pay"]["rows"], events["pay"]["title"]) == (3, "支付")
    assert events["pay"]["virtual"] is False
    assert events["deal"]["virtual"] is True
    assert events["deal"]["description"] == "any deal"


def test_properties_sent_virtual_and_of_items_have_kinds_and_labels(schema):
    found = by(schema["properties"])
    assert found["event.channel"]["origin"] == "sent"
    assert found["event.channel"]["title"] == "渠道"
    assert found["event.channel"]["values"] == ["app", "counter"]
    assert found["event.channel"]["events"] == ["pay"]
    assert found["user.city"]["title"] == "城市"
    assert found["event.product_id"]["items"] == "product"
    made = {p: (one["origin"], one["kind"]) for p, one in found.items() if one["origin"] != "sent"}
    assert made == {
        "event.long": ("virtual", "int64"),
        "event.product_id.brand": ("item", "string"),
        "event.product_id.price": ("item", "int64"),
        "event.basket.brand": ("item", "list"),
    }


def test_tags_have_their_values_and_cohorts_their_sizes(schema):
    tags = by(schema["tags"])
    assert set(tags) == {"user.$tag.level", "user.$tag.agency"}
    level = tags["user.$tag.level"]
    assert (level["type"], level["kind"], level["description"]) == ("string", "layers", "by count")
    assert level["values"] == ["gold", "iron", "none"]
    assert level["schedule"] == "day 02:00"
    assert tags["user.$tag.agency"]["values"] is None
    cohorts = by(schema["cohorts"])
    assert cohorts["user.$cohort.payers"]["users"] == 3
    assert [(one["name"], one["items"]) for one in schema["items"]] == [("product", 1)]
