"""Saved analyses with versions, boards, and the boards of the templates."""

from __future__ import annotations

import pytest

from tests.server.signing import Console, code
from zuji.engine.query.parse import parse

QUERY = {
    "model": "event",
    "time": {"from": "-7d", "to": "today"},
    "body": {"series": [{"e": "pay"}]},
}
CARD = {"id": "a", "kind": "analysis", "x": 0, "y": 0, "w": 6, "h": 4, "query": QUERY}
AT = "?project=bank"


@pytest.fixture
def console(tmp_path):
    made = Console(tmp_path, projects=("bank", "shop"))
    yield made
    made.close()


@pytest.fixture
def ann(console):
    return console.signed_in("analyst")


def save(browser, **more):
    answer = browser.post("/v1/saved" + AT, {"name": "Payments", "query": QUERY, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_is_saved_is_there_with_whose_it_is(ann):
    view = {"chart": "bar", "深": [1, None]}
    one = save(ann, folder="转账/日报", description="每天看", view=view)
    found = ann.get(f"/v1/saved/{one['id']}{AT}").json()
    assert found == one
    assert (found["name"], found["query"], found["view"]) == ("Payments", QUERY, view)
    assert (found["model"], found["version"]) == ("event", 1)
    assert found["owner"]["name"] == "analyst-1"


def test_lists_find_by_text_folder_model_and_owner(console, ann):
    save(ann, name="Daily 100%", folder="日报")
    save(ann, name="Weekly", folder="周报", description="about daily things")
    boss = console.signed_in()
    boss.post("/v1/saved" + AT, {"name": "Other", "query": {**QUERY, "model": "event"}})

    def names(asked):
        answer = ann.get(f"/v1/saved{AT}&{asked}").json()
        assert answer["count"] == len(answer["saved"])
        assert answer["folders"] == ["周报", "日报"]
        return {one["name"] for one in answer["saved"]}

    assert names("") == {"Daily 100%", "Weekly", "Other"}
    assert names("q=dAiLy") == {"Daily 100%", "Weekly"}
    assert names("q=100%25") == {"Daily 100%"}
    assert names("q=_") == set()
    assert names("folder=日报") == {"Daily 100%"}
    assert names("folder=") == {"Other"}
    assert names("model=funnel") == set()
    assert names("owner=me") == {"Daily 100%", "Weekly"}
    short = ann.get(f"/v1/saved{AT}").json()["saved"][0]
    assert "query" not in short
    assert ann.get(f"/v1/saved{AT}&full=true").json()["saved"][0]["query"] == QUERY
    assert code(ann.get(f"/v1/saved{AT}&limit=x")) == (400, "invalid_input")


def test_every_change_is_a_version_that_can_come_back(ann):
    one = save(ann)
    path = f"/v1/saved/{one['id']}"
    other = {**QUERY, "time": {"from": "-30d", "to": "today"}}
    second = ann.ask("PUT", path + AT, {"name": "Renamed", "query": other}).json()
    assert (second["version"], second["id"], second["owner"]) == (2, one["id"], one["owner"])
    versions = ann.get(f"{path}/versions{AT}").json()["versions"]
    assert [(v["version"], v["name"]) for v in versions] == [(2, "Renamed"), (1, "Payments")]
    third = ann.post(f"{path}/versions/1/restore{AT}").json()
    assert (third["version"], third["name"], third["query"]) == (3, "Payments", QUERY)
    assert len(ann.get(f"/v1/saved{AT}").json()["saved"]) == 1
    for number in ("9", "0", "x", "-1", "1e3", "٣", "9" * 30):
        answer = ann.post(f"{path}/versions/{number}/restore{AT}")
        assert code(answer) == (404, "not_found"), number


def test_nobodys_change_is_lost_who_says_what_it_was_made_from(ann):
    one = save(ann)
    path = f"/v1/saved/{one['id']}{AT}"
    first = ann.ask("PUT", path, {"name": "A", "query": QUERY, "expected": 1})
    assert first.status_code == 200
    second = ann.ask("PUT", path, {"name": "B", "query": QUERY, "expected": 1})
    assert code(second) == (409, "conflict")
    assert ann.get(path).json()["name"] == "A"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"name": ""}, "invalid_input"),
        ({"name": "  "}, "invalid_input"),
        ({"name": "x" * 201}, "invalid_input"),
        ({"name": "a\x00b"}, "invalid_input"),
        ({"folder": "/a"}, "invalid_input"),
        ({"folder": "a//b"}, "invalid_input"),
        ({"folder": "x" * 201}, "invalid_input"),
        ({"description": "x" * 4001}, "invalid_input"),
        ({"view": "x" * 300_000}, "invalid_input"),
        ({"query": {}}, "invalid_query"),
        ({"query": {**QUERY, "model": "nothing"}}, "invalid_query"),
        ({"query": {**QUERY, "body": {"series": []}}}, "invalid_query"),
        ({"query": "SELECT"}, "invalid_input"),
        ({"owner": "somebody"}, "invalid_input"),
        ({"expected": "1"}, "invalid_input"),
    ],
)
def test_an_analysis_that_will_not_do(ann, change, wanted):
    body = {"name": "Payments", "query": QUERY, **change}
    answer = ann.post("/v1/saved" + AT, body)
    assert code(answer) == (400, wanted)


def test_of_another_project_nothing_is_there(ann):
    one = save(ann)
    board = ann.post("/v1/boards" + AT, {"name": "B"}).json()
    for path in (f"/v1/saved/{one['id']}", f"/v1/boards/{board['id']}"):
        for method in ("GET", "DELETE"):
            assert code(ann.ask(method, f"{path}?project=shop")) == (404, "not_found")
    body = {"name": "x", "query": QUERY}
    answer = ann.ask("PUT", f"/v1/saved/{one['id']}?project=shop", body)
    assert code(answer) == (404, "not_found")
    assert ann.get("/v1/saved?project=shop").json()["count"] == 0


def test_who_made_it_or_an_administrator_deletes_it(console, ann):
    one = save(ann)
    board = ann.post("/v1/boards" + AT, {"name": "B"}).json()
    console.account("bob", "analyst")
    bob = console.browser()
    bob.sign_in("bob")
    for path in (f"/v1/saved/{one['id']}{AT}", f"/v1/boards/{board['id']}{AT}"):
        assert code(bob.ask("DELETE", path)) == (403, "forbidden")
    assert ann.ask("DELETE", f"/v1/saved/{one['id']}{AT}").status_code == 200
    boss = console.signed_in()
    assert boss.ask("DELETE", f"/v1/boards/{board['id']}{AT}").status_code == 200
    assert code(ann.get(f"/v1/saved/{one['id']}{AT}")) == (404, "not_found")


def test_a_board_shows_saved_analyses_beside_its_own(ann):
    one = save(ann)
    board = {
        "name": "看板",
        "folder": "日报",
        "time": {"from": "-30d", "to": "today"},
        "where": {"p": "event.channel", "op": "eq", "v": "app"},
        "refresh_s": 60,
        "cards": [
            CARD,
            {**CARD, "id": "b", "x": 6, "query": None, "saved": one["id"]},
            {"id": "c", "kind": "text", "x": 0, "y": 4, "w": 12, "h": 1, "text": "# 说明"},
        ],
    }
    made = ann.post("/v1/boards" + AT, board).json()
    found = ann.get(f"/v1/boards/{made['id']}{AT}").json()
    assert found["saved"] == {one["id"]: one}
    assert [card["id"] for card in found["cards"]] == ["a", "b", "c"]
    assert (found["time"], found["where"], found["refresh_s"]) == (
        board["time"],
        board["where"],
        60,
    )
    (listed,) = ann.get("/v1/boards" + AT).json()["boards"]
    assert (listed["name"], listed["card_count"], listed["owner"]["name"]) == (
        "看板",
        3,
        "analyst-1",
    )
    assert "cards" not in listed
    ann.ask("DELETE", f"/v1/saved/{one['id']}{AT}")
    assert ann.get(f"/v1/boards/{made['id']}{AT}").json()["saved"] == {}
    path = f"/v1/boards/{made['id']}{AT}"
    assert ann.ask("PUT", path, {**board, "expected": 1}).json()["version"] == 2
    assert code(ann.ask("PUT", path, {**board, "expected": 1})) == (409, "conflict")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"cards": [{**CARD, "x": 7}]}, "invalid_input"),
        ({"cards": [{**CARD, "x": -1}]}, "invalid_input"),
        ({"cards": [{**CARD, "w": 0}]}, "invalid_input"),
        ({"cards": [{**CARD, "w": 13}]}, "invalid_input"),
        ({"cards": [{**CARD, "y": -1}]}, "invalid_input"),
        ({"cards": [{**CARD, "h": 10**9}]}, "invalid_input"),
        ({"cards": [{**CARD, "x": 1.5}]}, "invalid_input"),
        ({"cards": [{**CARD, "kind": "script"}]}, "invalid_input"),
        ({"cards": [{**CARD, "id": ""}]}, "invalid_input"),
        ({"cards": [CARD, CARD]}, "invalid_input"),
        ({"cards": [{**CARD, "saved": "x"}]}, "invalid_input"),
        ({"cards": [{**CARD, "query": None}]}, "invalid_input"),
        ({"cards": [{**CARD, "kind": "text"}]}, "invalid_input"),
        ({"cards": [{**CARD, "text": "x" * 10_001}]}, "invalid_input"),
        ({"cards": [{**CARD, "id": str(n)} for n in range(61)]}, "invalid_input"),
        ({"cards": [{**CARD, "query": {"model": "event"}}]}, "invalid_query"),
        ({"time": {"from": "never", "to": "today"}}, "invalid_query"),
        ({"time": {"since": "today"}}, "invalid_query"),
        ({"where": {"p": "event.a", "op": "nonsense", "v": 1}}, "invalid_query"),
        ({"refresh_s": 1}, "invalid_input"),
        ({"refresh_s": -5}, "invalid_input"),
        ({"refresh_s": 10**9}, "invalid_input"),
        ({"name": None}, "invalid_input"),
    ],
)
def test_a_board_that_will_not_do(ann, change, wanted):
    assert code(ann.post("/v1/boards" + AT, {"name": "B", **change})) == (400, wanted)


def test_what_is_wrong_with_a_card_is_told_by_its_place(ann):
    bad = {**CARD, "id": "b", "query": {**QUERY, "body": {"series": [{"e": 1}]}}}
    answer = ann.post("/v1/boards" + AT, {"name": "B", "cards": [CARD, bad]})
    assert answer.json()["error"]["path"].startswith("$.cards[1].query.body.series[0]")


# -- templates -----------------------------------------------------------------------------------

BANK = (
    "login",
    "login_failed",
    "$pageview",
    "transfer_success",
    "transfer_start",
    "transfer_confirm",
    "campaign_view",
    "领取优惠券",
)


def send(console, names, at="2026-01-05T09:00:00+08:00"):
    engine = console.projects.get("bank").engine
    engine.append(
        [{"event": name, "time": at, "user_id": "u1", "properties": {}} for name in names]
    )


def queries(browser, board):
    found = browser.get(f"/v1/boards/{board['id']}{AT}").json()
    return [
        card.get("query") or found["saved"][card["saved"]]["query"]
        for card in found["cards"]
        if card["kind"] != "text"
    ]


def test_templates_are_told_in_both_languages(ann):
    found = ann.get("/v1/board-templates" + AT).json()["templates"]
    assert [one["name"] for one in found] == ["overview", "banking"]
    assert found[0]["title"] == {"zh": "总览", "en": "Overview"}


@pytest.mark.parametrize("name", ["overview", "banking"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_template_makes_a_board_whose_every_card_can_be_asked(console, ann, name, language):
    send(console, BANK)
    board = ann.post(f"/v1/board-templates/{name}{AT}", {"language": language}).json()
    asked = queries(ann, board)
    assert len(asked) >= 9
    for query in asked:
        parse(query)
        answer = ann.post("/v1/query" + AT, query)
        assert answer.status_code == 200, answer.text
    placed = {
        (x, y)
        for card in board["cards"]
        for x in range(card["x"], card["x"] + card["w"])
        for y in range(card["y"], card["y"] + card["h"])
    }
    assert len(placed) == sum(card["w"] * card["h"] for card in board["cards"])  # none overlap


def test_the_overview_has_what_every_product_looks_at(ann):
    board = ann.post(f"/v1/board-templates/overview{AT}", {"language": "en"}).json()
    models = [query["model"] for query in queries(ann, board)]
    assert models.count("event") >= 6
    assert {"lifecycle", "retention", "concurrency"} <= set(models)
    figures = [card["view"]["title"] for card in board["cards"] if card["kind"] == "figure"]
    assert figures == ["Daily active users", "Weekly active users", "Monthly active users"]


def test_funnels_of_banking_stand_in_the_order_of_what_people_do(console, ann):
    send(console, BANK)
    board = ann.post(f"/v1/board-templates/banking{AT}", {"language": "zh"}).json()
    funnels = [
        [step["e"] for step in query["body"]["steps"]]
        for query in queries(ann, board)
        if query["model"] == "funnel"
    ]
    assert funnels == [
        ["transfer_start", "transfer_confirm", "transfer_success"],
        ["campaign_view", "领取优惠券"],
    ]
    logins = [q for q in queries(ann, board) if "login" in str(q)]
    assert logins
    assert "login_failed" not in str(logins)


def test_without_such_events_a_board_says_what_to_send(ann):
    board = ann.post(f"/v1/board-templates/banking{AT}", {"language": "en"}).json()
    texts = [card["text"] for card in board["cards"]]
    assert len(texts) == 4
    assert "`transfer_start`" in texts[2]


def test_boards_of_old_data_look_at_its_last_days(console, ann):
    send(console, BANK, "2017-12-31T12:00:00+08:00")
    board = ann.post(f"/v1/board-templates/overview{AT}", {"language": "en"}).json()
    times = [query["time"] for query in queries(ann, board)]
    assert times[0] == {"from": "2017-12-31", "to": "2017-12-31", "grain": "all"}
    assert all(time["to"] == "2017-12-31" for time in times)
    answer = ann.post("/v1/query" + AT, queries(ann, board)[0]).json()
    assert answer["rows"][0][-1] == 1


def test_the_last_day_of_old_data_is_one_of_the_projects_zone(console, ann):
    send(console, BANK, "2018-01-01T02:00:00+08:00")  # still 2017 in UTC
    board = ann.post(f"/v1/board-templates/overview{AT}", {"language": "en"}).json()
    first = queries(ann, board)[0]
    assert first["time"] == {"from": "2018-01-01", "to": "2018-01-01", "grain": "all"}
    answer = ann.post("/v1/query" + AT, first).json()
    assert answer["rows"][0][-1] == 1


def test_made_again_it_uses_the_analyses_that_it_made_before(ann):
    one, two = (
        ann.post(f"/v1/board-templates/overview{AT}", {"language": "en"}).json() for _ in range(2)
    )
    assert one["id"] != two["id"]
    assert [c.get("saved") for c in one["cards"]] == [c.get("saved") for c in two["cards"]]


def test_a_template_that_is_not_there(ann):
    answer = ann.post(f"/v1/board-templates/nothing{AT}", {"language": "en"})
    assert code(answer) == (404, "not_found")
    answer = ann.post(f"/v1/board-templates/overview{AT}", {"language": "fr"})
    assert code(answer) == (400, "invalid_input")


@pytest.mark.parametrize(
    "path",
    ["/v1/query", "/v1/query/users", "/v1/sql", "/v1/saved", "/v1/boards", "/v1/cohorts/save"],
)
@pytest.mark.parametrize(
    "body", [b"\xff", b'{"name": "\xff"}', b"[" * 5000, b'{"a":' * 5000, b"", b"1"]
)
def test_bytes_that_are_no_json_are_the_askers_fault(ann, path, body):
    """Invalid UTF-8 in a text was answered as a bug of the server."""
    answer = ann.ask("POST", path + AT, content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] in ("invalid_input", "invalid_query")
