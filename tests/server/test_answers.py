"""Answers that are given again: only while nothing changed, and the same as asked anew."""

from __future__ import annotations

import json

import pytest

import zuji
from zuji.server.api.answers import MOST, QUARTER_MS, Answers

QUERY = {
    "model": "event",
    "time": {"from": "2026-01-01", "to": "2026-01-31", "grain": "all"},
    "body": {"series": [{"e": "pay"}]},
}
TIME = 1_767_600_000_000  # 2026-01-05


@pytest.fixture
def engine(tmp_path):
    with zuji.open(tmp_path) as opened:
        send(opened, "u1")
        yield opened


def send(engine, user, time=TIME, **more):
    engine.append([{"event": "pay", "time": time, "user_id": user, "properties": {}, **more}])


class Asked:
    """How often an engine was really asked."""

    def __init__(self, engine):
        self.now = TIME + 1_000_000
        self.engine = engine
        self.answers = Answers(lambda: self.now)
        self.count = 0

    def ask(self, query=QUERY, project="p"):
        document = json.dumps(query).encode()

        def really():
            self.count += 1
            return self.engine.query(document)

        found = self.answers.ask(project, self.engine, document, really)
        assert found.rows == self.engine.query(document).rows
        return found


@pytest.fixture
def asked(engine):
    return Asked(engine)


def test_the_same_is_answered_once(asked):
    assert asked.ask() is asked.ask()
    assert asked.count == 1
    asked.ask({**QUERY, "time": {**QUERY["time"], "to": "2026-01-30"}})
    assert asked.count == 2


def test_a_new_event_is_in_the_next_answer(asked):
    assert asked.ask().rows[0][-1] == 1
    send(asked.engine, "u2")
    assert asked.ask().rows[0][-1] == 2
    asked.engine.flush()
    assert asked.ask().rows[0][-1] == 2


def test_another_definition_is_in_the_next_answer(asked):
    by_size = {**QUERY, "by": [{"p": "event.size"}]}
    for text in ("'small'", "'large'"):
        asked.engine.define({}, {"event.size": {"as": text, "type": "string"}})
        assert asked.ask(by_size).rows[0][2] == text.strip("'")


def test_erased_people_are_in_no_answer_that_was_kept(asked):
    send(asked.engine, "u2")
    assert asked.ask().rows[0][-1] == 2
    asked.engine.people.erase({"user_id": "u2"})
    assert asked.ask().rows[0][-1] == 1


def test_a_bound_device_is_the_customers_in_the_next_answer(asked):
    users = {**QUERY, "body": {"series": [{"e": "pay", "measure": "users"}]}}
    asked.engine.append([{"event": "pay", "time": TIME, "device_id": "d1", "properties": {}}])
    assert asked.ask(users).rows[0][-1] == 2
    asked.engine.identity.bind("u1", "d1", TIME - 1)
    asked.ask(users)


def test_dates_move_at_quarters_of_an_hour(asked):
    asked.now = QUARTER_MS * (asked.now // QUARTER_MS)
    asked.ask()
    asked.now += QUARTER_MS - 1
    asked.ask()
    assert asked.count == 1
    asked.now += 1
    asked.ask()
    assert asked.count == 2


@pytest.mark.parametrize(
    "query",
    [
        {**QUERY, "time": {"from": "2026-01-01", "to": "now", "grain": "all"}},
        {
            **QUERY,
            "where": {
                "p": "event.$time",
                "op": "within_last",
                "v": {"n": 1, "unit": "day"},
            },
        },
    ],
)
def test_what_depends_on_the_moment_is_asked_anew(asked, query):
    asked.ask(query)
    asked.ask(query)
    assert asked.count == 2


def test_an_event_of_the_future_makes_all_depend_on_the_moment(asked):
    send(asked.engine, "u3", asked.now + 60_000)
    asked.ask()
    asked.ask()
    assert asked.count == 2


def test_an_error_is_not_kept(asked):
    bad = {**QUERY, "model": "nothing"}
    for _ in range(2):
        with pytest.raises(zuji.ZujiError):
            asked.ask(bad)
    assert asked.count == 2


def test_projects_do_not_mix_and_few_are_kept(asked):
    asked.ask(project="p")
    asked.ask(project="q")
    assert asked.count == 2
    for number in range(MOST + 1):
        asked.ask({**QUERY, "top": {"n": number % 900 + 1}})
    assert len(asked.answers._kept["p"].answers) == MOST


def test_what_changed_while_it_was_asked_is_not_kept(engine):
    answers = Answers(lambda: TIME + 1_000_000)
    document = json.dumps(QUERY).encode()

    def slow():
        found = engine.query(document)
        send(engine, "meanwhile")
        return found

    assert answers.ask("p", engine, document, slow).rows[0][-1] == 1
    again = answers.ask("p", engine, document, lambda: engine.query(document))
    assert again.rows[0][-1] == 2
