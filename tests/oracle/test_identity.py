"""The resolver against the six rules, each as a table of moments; and against the order in which
things are said.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.oracle.identity import SHARED, Conflict, OracleIdentity
from tests.oracle.project import OracleProject

DEVICE = ("device", "phone")
ANN, BOB, CAL = (("user", name) for name in ("ann", "bob", "cal"))


def identity(*said: tuple[int, str, str], shared: str = "device") -> OracleIdentity:
    """(time, "+" together or "-" apart, customer) of one phone."""
    made = OracleIdentity(shared)
    for time, what, customer in said:
        (made.together if what == "+" else made.apart)("phone", customer, time)
    return made


def owners(made: OracleIdentity, *times: int) -> list[tuple[str, str]]:
    return [made.owner(None, "phone", time) for time in times]


def test_rule_1_many_ids_one_customer():
    made = OracleIdentity()
    for number in range(5):
        made.together(f"d{number}", "ann", 10 * number)
    assert {made.owner(None, f"d{n}", t) for n in range(5) for t in (0, 99)} == {ANN}
    assert made.conflicts() == []


@pytest.mark.parametrize("shared", SHARED)
def test_rule_2_a_row_with_a_customer_is_the_customers_whatever_the_device_says(shared):
    made = identity((10, "+", "ann"), (20, "+", "bob"), shared=shared)
    assert made.owner("cal", "phone", 15) == CAL
    assert made.owner("cal", None, 15) == CAL
    assert made.owner("bob", "phone", 5) == BOB


def test_rule_3_a_device_never_merges_two_customers():
    made = identity((10, "+", "ann"), (20, "+", "bob"))
    assert made.owner("ann", "phone", 30) == ANN
    assert made.owner("bob", "phone", 30) == BOB
    assert made.conflicts() == [Conflict("phone", 20, ("ann", "bob"))]


def test_rule_4_the_first_customer_gets_what_was_before():
    assert owners(identity(), 0, 50) == [DEVICE, DEVICE]
    assert owners(identity((10, "+", "ann")), -5, 9, 10, 11) == [ANN] * 4


@pytest.mark.parametrize(
    ("shared", "later"), [("device", DEVICE), ("first_owner", ANN), ("last_login", BOB)]
)
def test_rule_4_from_the_second_customer_on_the_device_is_shared(shared, later):
    made = identity((10, "+", "ann"), (20, "+", "bob"), shared=shared)
    assert owners(made, 0, 10, 19, 20, 99) == [ANN, ANN, ANN, later, later]


def test_rule_4_the_last_login_is_the_last_one_before_the_row():
    made = identity((10, "+", "ann"), (20, "+", "bob"), (30, "+", "ann"), shared="last_login")
    assert owners(made, 25, 29, 30, 40) == [BOB, BOB, ANN, ANN]


def test_rule_5_unbinding_closes_at_its_time_and_binding_again_opens():
    made = identity((10, "+", "ann"), (20, "-", "ann"))
    assert owners(made, 0, 19, 20, 99) == [ANN, ANN, DEVICE, DEVICE]
    made.together("phone", "ann", 30)
    assert owners(made, 0, 19, 20, 29, 30) == [ANN, ANN, DEVICE, DEVICE, ANN]
    assert made.conflicts() == []


def test_rule_5_after_unbinding_the_next_customer_is_no_second_one():
    made = identity((10, "+", "ann"), (20, "-", "ann"), (30, "+", "bob"))
    assert owners(made, 0, 19, 20, 29, 30, 99) == [ANN, ANN, DEVICE, DEVICE, BOB, BOB]
    assert made.conflicts() == []


def test_rule_5_when_one_of_two_is_unbound_the_other_is_alone():
    made = identity((10, "+", "ann"), (20, "+", "bob"), (30, "-", "ann"))
    assert owners(made, 19, 20, 29, 30) == [ANN, DEVICE, DEVICE, BOB]


def test_rule_5_unbinding_somebody_who_is_not_in_does_nothing():
    assert owners(identity((5, "-", "ann"), (10, "+", "ann")), 0, 7, 10) == [ANN] * 3
    assert owners(identity((5, "-", "bob"), (10, "+", "ann")), 0, 7, 10) == [ANN] * 3
    assert owners(identity((5, "-", "ann")), 0, 7) == [DEVICE] * 2


def test_rule_5_an_unbind_that_names_nobody_parts_everybody():
    made = identity((10, "+", "ann"), (20, "+", "bob"))
    made.apart("phone", None, 30)
    assert owners(made, 0, 25, 30, 99) == [ANN, DEVICE, DEVICE, DEVICE]
    made.together("phone", "bob", 40)
    assert owners(made, 39, 40) == [DEVICE, BOB]


def test_rule_5_an_undo_recomputes_as_if_it_had_not_been():
    made = identity((10, "+", "bob"), (20, "+", "ann"))
    assert owners(made, 0, 15, 25) == [BOB, BOB, DEVICE]
    made.undo("phone", "bob")
    assert owners(made, 0, 15, 25) == [ANN] * 3
    assert made.conflicts() == []


def test_rule_6_of_one_instant_apart_comes_first_and_ids_decide_the_rest():
    assert owners(identity((10, "+", "ann"), (10, "-", "ann")), 0, 10) == [ANN, ANN]
    both = identity((10, "+", "bob"), (10, "+", "ann"))
    assert owners(both, 9, 10) == [ANN, DEVICE]
    assert both.conflicts() == [Conflict("phone", 10, ("ann", "bob"))]


def test_rule_6_the_order_in_which_it_is_said_makes_no_difference():
    for seed in range(300):
        rng = random.Random(f"order {seed}")
        said = [
            (rng.choice("de"), rng.choice(["ann", "bob", "cal"]), rng.randrange(12), rng.random())
            for _ in range(rng.randint(0, 9))
        ]
        answers = []
        for _ in range(4):
            rng.shuffle(said)
            found: list[Any] = []
            for shared in SHARED:
                made = OracleIdentity(shared)
                for device, customer, time, how in said:
                    if how < 0.05:
                        made.apart(device, None, time)
                    else:
                        (made.apart if how < 0.3 else made.together)(device, customer, time)
                found += [made.owner(None, d, t) for d in "de" for t in range(-1, 14)]
                found += made.conflicts()
            answers.append(found)
        assert all(found == answers[0] for found in answers), (seed, said)


def test_the_rows_of_a_project_have_the_same_owners_however_they_arrive():
    for seed in range(60):
        rng = random.Random(f"project order {seed}")
        rows: list[dict[str, Any]] = []
        for number in range(rng.randint(1, 14)):
            row: dict[str, Any] = {"event": f"e{number}", "time": rng.randrange(20)}
            if rng.random() < 0.6:
                row["user_id"] = rng.choice(["ann", "bob"])
            if rng.random() < 0.6 or len(row) == 2:
                row["device_id"] = rng.choice("de")
            if rng.random() < 0.15:
                row["event"] = "$UnbindID"
            if rng.random() < 0.2:
                row["type"] = "profile_set"
                row["properties"] = {row.pop("event"): 1}
            rows.append(row)
        answers = []
        for _ in range(4):
            rng.shuffle(rows)
            made = OracleProject()
            for row in rows:
                made.append([row])
            whose = sorted((r.event, r.user, r.time, r.ids) for r in made.rows)
            people = {u: sorted((p.time, p.name) for p in ps) for u, ps in made.profiles.items()}
            answers.append((whose, sorted(people.items()), made.users()))
        assert all(found == answers[0] for found in answers), seed


def test_a_project_resolves_when_it_is_asked():
    made = OracleProject()
    made.append([{"device_id": "d", "event": "open", "time": 1}])
    assert made.users() == [("device", "d")]
    made.append([{"type": "profile_set", "device_id": "d", "time": 2, "properties": {"n": 1}}])
    made.append([{"user_id": "ann", "device_id": "d", "event": "login", "time": 9}])
    assert made.users() == [ANN]
    assert [r.event for r in made.rows_of(ANN)] == ["open", "login"]
    assert [r.props["$device_id"].v for r in made.rows_of(ANN)] == ["d", "d"]
    value = made.user_property(ANN, "n", None)
    assert value is not None
    assert value.v == 1
    made.append([{"user_id": "ann", "device_id": "d", "event": "$UnbindID", "time": 10}])
    made.append([{"device_id": "d", "event": "open", "time": 11}])
    assert made.users() == [("device", "d"), ANN]


def test_typed_ids_are_devices_of_another_name():
    made = OracleProject()
    mobile = "$identity_mobile+138"
    made.append([{"device_id": mobile, "event": "call", "time": 1}])
    made.append(
        [
            {
                "type": "profile_set",
                "user_id": "ann",
                "time": 5,
                "properties": {"$identity_mobile": "138", "$identity_cookie_id": "c"},
            }
        ]
    )
    assert [row.user for row in made.rows] == [ANN]
    assert {said.device for said in made.identity.said} == {mobile}
    made.append(
        [
            {
                "user_id": "ann",
                "event": "$UnbindID",
                "time": 9,
                "properties": {"$identity_mobile": "138"},
            },
            {"device_id": mobile, "event": "call", "time": 9},
        ]
    )
    assert made.rows[-1].user == ("device", mobile)
    made.append(
        [{"user_id": "bob", "event": "a", "time": 12, "properties": {"$identity_mobile": "138"}}]
    )
    made.append([{"device_id": mobile, "event": "$UnbindID", "time": 15}])
    made.append([{"device_id": mobile, "event": "call", "time": t} for t in (14, 16)])
    assert [row.user for row in made.rows[-2:]] == [BOB, ("device", mobile)]
