"""The oracle against the worked rules of the query semantics: each test is one trap."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest

from tests.oracle import generate
from tests.oracle.answers import RefusedQuery, answer
from tests.oracle.project import OracleProject
from tests.oracle.queries import query_of
from tests.oracle.walltime import buckets, instant, wall

NOW = 4_000_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BASE = instant("2026-10-01T00:00:00+08:00")


def project(*sent: tuple[str, str, int] | tuple[str, str, int, dict[str, Any]]) -> OracleProject:
    """A project of (user, event, ms after 1 October 2026 in Shanghai, properties)."""
    made = OracleProject("Asia/Shanghai")
    made.append(
        [
            {"user_id": s[0], "event": s[1], "time": BASE + s[2], "properties": (*s, {})[3]}
            for s in sent
        ]
    )
    return made


def ask(made: OracleProject, model: str, body: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    time = {"from": "2026-10-01", "to": "2026-10-10", **more.pop("time", {})}
    return answer(made, {"model": model, "time": time, "body": body, **more}, NOW)


def counts(made: OracleProject, steps: str, **body: Any) -> list[int]:
    """Funnel counts; steps are one-letter events."""
    more = {key: body.pop(key) for key in ("by", "time", "where", "top") if key in body}
    listed = [{"e": s} for s in steps]
    return [r["count"] for r in ask(made, "funnel", {"steps": listed, **body}, **more)]


def test_the_window_is_inclusive():
    week = 7 * DAY
    assert counts(project(("u", "A", 0), ("u", "B", week)), "AB") == [1, 1]
    assert counts(project(("u", "A", 0), ("u", "B", week + 1)), "AB") == [1, 0]


def test_the_window_counts_from_step_one():
    made = project(("u", "A", 0), ("u", "B", 5 * DAY), ("u", "C", 8 * DAY))
    assert counts(made, "ABC") == [1, 1, 0]


def test_any_entry_lets_a_later_start_win_and_first_does_not():
    made = project(("u", "A", 0), ("u", "A", 5 * DAY), ("u", "B", 8 * DAY))
    assert counts(made, "AB") == [1, 1]
    assert counts(made, "AB", entry="first") == [1, 0]


def test_a_repeated_step_consumes_two_events():
    assert counts(project(("u", "A", 0)), "AA") == [1, 0]
    assert counts(project(("u", "A", 0), ("u", "A", 1)), "AA") == [1, 1]


def test_one_event_satisfies_only_one_step_of_a_chain():
    steps = [{"e": ["A", "B"]}, {"e": ["A", "C"]}]
    rows = ask(project(("u", "A", 0)), "funnel", {"steps": steps})
    assert [r["count"] for r in rows] == [1, 0]


@pytest.mark.parametrize(("ties", "expected"), [("sequence", 0), ("any", 1), ("strict", 0)])
def test_events_at_one_instant_sent_in_the_wrong_order(ties, expected):
    assert counts(project(("u", "B", 0), ("u", "A", 0)), "AB", ties=ties) == [1, expected]


@pytest.mark.parametrize(("ties", "expected"), [("sequence", 1), ("any", 1), ("strict", 0)])
def test_events_at_one_instant_sent_in_the_right_order(ties, expected):
    assert counts(project(("u", "A", 0), ("u", "B", 0)), "AB", ties=ties) == [1, expected]


def test_strict_order_looks_at_all_events():
    made = project(("u", "A", 0), ("u", "x", 1), ("u", "B", 2))
    assert counts(made, "AB", order="strict") == [1, 0]
    assert counts(made, "AB", order="ordered") == [1, 1]


def test_any_order_takes_steps_as_they_come():
    made = project(("u", "C", 0), ("u", "A", 1), ("u", "B", 2))
    assert counts(made, "ABC", order="any_order") == [1, 1, 1]
    assert counts(made, "ABC") == [1, 1, 0]


def test_calendar_day_windows_end_at_local_midnight():
    made = project(("u", "A", 23 * HOUR), ("u", "B", 25 * HOUR))
    assert counts(made, "AB", window={"n": 1, "unit": "same_day"}) == [1, 0]
    assert counts(made, "AB", window={"n": 2, "unit": "hour"}) == [1, 1]


def test_session_windows_end_with_the_session():
    made = project(("u", "A", 0), ("u", "x", 30 * MINUTE), ("u", "B", 60 * MINUTE))
    assert counts(made, "AB", window={"n": 1, "unit": "session"}) == [1, 1]
    later = project(("u", "A", 0), ("u", "B", 30 * MINUTE + 1))
    assert counts(later, "AB", window={"n": 1, "unit": "session"}) == [1, 0]


def test_an_exclusion_drops_or_removes():
    made = project(("u", "A", 0), ("u", "X", 1), ("u", "B", 2), ("v", "A", 0), ("v", "B", 1))
    drop = [{"e": "X", "between": [1, 2], "on": "drop"}]
    remove = [{"e": "X", "between": [1, 2], "on": "remove"}]
    assert counts(made, "AB", exclude=drop) == [2, 1]
    assert counts(made, "AB", exclude=remove) == [1, 1]


def test_an_excluded_chain_may_start_again():
    made = project(("u", "A", 0), ("u", "X", 1), ("u", "A", 2), ("u", "B", 3))
    assert counts(made, "AB", exclude=[{"e": "X", "between": [1, 2], "on": "drop"}]) == [1, 1]


def test_an_exclusion_after_its_steps_does_nothing():
    made = project(("u", "A", 0), ("u", "B", 1), ("u", "X", 2), ("u", "C", 3))
    for on in ("drop", "remove"):
        listed = [{"e": "X", "between": [1, 2], "on": on}]
        assert counts(made, "ABC", exclude=listed) == [1, 1, 1]


def test_optional_steps_do_not_hold_up_a_chain():
    made = project(("u", "A", 0), ("u", "C", 2), ("v", "A", 0), ("v", "B", 1), ("v", "C", 2))
    steps = [{"e": "A"}, {"e": "B", "optional": True}, {"e": "C"}]
    rows = ask(made, "funnel", {"steps": steps})
    assert [r["count"] for r in rows] == [2, 1, 2]


def test_held_properties_have_one_value_along_the_chain():
    made = project(("u", "A", 0, {"p": "x"}), ("u", "B", 1, {"p": "y"}), ("u", "B", 2, {"q": "x"}))
    assert counts(made, "AB") == [1, 1]
    assert counts(made, "AB", hold=["event.p"]) == [1, 0]
    by_name = [[{"step": 1, "p": "event.p"}, {"step": 2, "p": "event.q"}]]
    assert counts(made, "AB", hold=by_name) == [1, 1]


def test_a_breakdown_never_splits_the_sequence():
    made = project(("u", "A", 0, {"c": "app"}), ("u", "B", 1, {"c": "web"}))
    for attr, value in (("first", "app"), ("last", "web"), ({"step": 2}, "web")):
        steps = [{"e": "A"}, {"e": "B"}]
        rows = ask(made, "funnel", {"steps": steps}, by=[{"p": "event.c", "attr": attr}])
        assert [(r["event.c"], r["count"]) for r in rows] == [(value, 1), (value, 1)]


def test_events_after_the_range_count_within_the_window():
    made = project(("u", "A", 9 * DAY + HOUR), ("u", "B", 12 * DAY))
    assert counts(made, "AB") == [1, 1]
    assert counts(project(("u", "A", 10 * DAY), ("u", "B", 12 * DAY)), "AB") == [0, 0]


def test_entries_do_not_overlap():
    made = project(("u", "A", 0), ("u", "B", 1), ("u", "A", 2), ("u", "A", 3), ("u", "B", 4))
    # A1 B, A2 … B: the third A lies inside the second attempt.
    assert counts(made, "AB", count="entries") == [2, 2]
    assert counts(made, "AB", count="users") == [1, 1]


def test_sessions_are_counted_one_by_one():
    made = project(("u", "A", 0), ("u", "B", 1), ("u", "A", DAY), ("u", "A", 2 * DAY))
    assert counts(made, "AB", count="sessions") == [3, 1]


def test_trend_buckets_stand_alone_and_immature_ones_are_marked():
    made = project(("u", "A", 0), ("u", "A", DAY), ("u", "B", 3 * DAY))
    steps = [{"e": "A"}, {"e": "B"}]
    rows = ask(made, "funnel", {"steps": steps, "trend": True, "window": {"n": 2, "unit": "day"}})
    first = {r["bucket"]: r["count"] for r in rows if r["step"] == 1}
    second = {r["bucket"]: r["count"] for r in rows if r["step"] == 2}
    assert (first["2026-10-01"], second["2026-10-01"]) == (1, 0)
    assert (first["2026-10-02"], second["2026-10-02"]) == (1, 1)
    assert {r["bucket"] for r in rows if r["complete"]} == {"2026-10-01"}


def level_by_fold(events: list[tuple[int, str]], steps: str, window: int, ties: str) -> int:
    """The folding algorithm that the semantics name: L[k], the latest start of a chain at step
    k.
    """
    k = len(steps)
    order = events
    if ties == "any":
        order = sorted(events, key=lambda e: (e[0], steps.find(e[1]) if e[1] in steps else k))
    latest: list[int | None] = [None] * (k + 1)
    best = 0
    read, instant_of = list(latest), None
    for t, name in order:
        if ties != "strict" or t != instant_of:
            read, instant_of = list(latest), t
        for j in range(k, 0, -1):
            if steps[j - 1] != name:
                continue
            if j == 1:
                latest[1], best = t, max(best, 1)
            elif read[j - 1] is not None and t - read[j - 1] <= window:
                latest[j] = read[j - 1] if latest[j] is None else max(latest[j], read[j - 1])
                best = max(best, j)
    return best


@pytest.mark.parametrize("ties", ["sequence", "any", "strict"])
def test_enumeration_agrees_with_the_folding_algorithm(ties):
    rng = random.Random(20261001)
    for number in range(400):
        steps = rng.choice(["AB", "ABC", "AA", "ABA", "ABCD"])
        sent = [(rng.randrange(12), rng.choice("ABCDx")) for _ in range(rng.randint(0, 9))]
        sent.sort(key=lambda e: e[0])
        made = project(*(("u", name, t) for t, name in sent))
        window = rng.choice([1, 3, 8])
        expected = level_by_fold([(t * 1000, n) for t, n in sent], steps, window * 1000, ties)
        made = project(*(("u", name, t * 1000) for t, name in sent))
        got = counts(made, steps, ties=ties, window={"n": window, "unit": "second"})
        assert sum(got) == expected, (number, steps, window, sent)


# ---------------------------------------------------------------------------------- retention


def returned(made: OracleProject, **body: Any) -> dict[tuple[str, int], int | None]:
    start, back = body.pop("start", "open"), body.pop("back", "pay")
    rows = ask(
        made, "retention", {"start": {"e": start}, "return": {"e": back}, "periods": 2, **body}
    )
    return {(r["cohort"], r["period"]): r["returned"] for r in rows}


LATE = ("z", "late", 30 * DAY)


def test_midnight_separates_calendar_days_but_not_rolling_ones():
    made = project(("u", "open", DAY - MINUTE), ("u", "pay", DAY + MINUTE), LATE)
    assert returned(made)["2026-10-01", 1] == 1
    assert returned(made, mode="rolling")["2026-10-01", 0] == 1
    assert returned(made, mode="rolling")["2026-10-01", 1] == 0


def test_day_zero_needs_a_later_event_or_a_different_one():
    assert returned(project(("u", "open", 0), LATE), back="open")["2026-10-01", 0] == 0
    again = project(("u", "open", 0), ("u", "open", 0), LATE)
    assert returned(again, back="open")["2026-10-01", 0] == 1
    before = project(("u", "pay", 0), ("u", "open", HOUR), LATE)
    assert returned(before)["2026-10-01", 0] == 1


def test_cohorts_first_in_range_first_ever_recurring():
    made = project(("u", "open", -DAY), ("u", "open", 0), ("u", "open", DAY), LATE)

    def sizes(cohort):
        body = {"start": {"e": "open"}, "return": {"e": "pay"}, "periods": 1, "cohort": cohort}
        return [r["cohort"] for r in ask(made, "retention", body) if r["period"] == 0 and r["size"]]

    assert sizes("first_in_range") == ["2026-10-01"]
    assert sizes("first_ever") == []
    assert sizes("recurring") == ["2026-10-01", "2026-10-02"]


def test_criteria():
    made = project(("u", "open", 0), ("u", "pay", 2 * DAY), LATE)

    def line(criterion):
        found = returned(made, criterion=criterion)
        return [found["2026-10-01", k] for k in range(3)]

    assert line("on") == [0, 0, 1]
    assert line("on_or_after") == [1, 1, 1]
    assert line("on_or_before") == [0, 0, 1]
    assert line("consecutive") == [0, 0, 0]
    assert returned(made, criterion={"bracket": [[0, 1], [1, 2]]})["2026-10-01", 1] == 1


def test_incomplete_cells_are_null():
    made = project(("u", "open", 0), ("u", "pay", DAY + HOUR))
    found = returned(made)
    assert found["2026-10-01", 0] == 0
    assert found["2026-10-01", 1] is None


# -------------------------------------------------------------------------------------- event


def test_a_day_of_a_clock_change_is_23_or_25_hours():
    zone = "America/New_York"
    low, high = instant("2025-03-08T05:00:00Z"), instant("2025-03-11T04:00:00Z")
    assert [(b - a) // HOUR for a, b, _ in buckets(zone, low, high, "day")] == [24, 23, 24]
    hours = buckets(zone, instant("2025-11-02T04:00:00Z"), instant("2025-11-02T08:00:00Z"), "hour")
    assert [wall(a, zone).hour for a, _, _ in hours] == [0, 1, 1, 2]
    assert len({label for _, _, label in hours}) == 4


def test_users_do_not_add_up_but_accumulate():
    made = project(("u", "A", 0), ("u", "A", DAY), ("v", "A", DAY))
    body = {"series": [{"e": "A", "measure": "users"}]}
    assert [r["value"] for r in ask(made, "event", body)][:3] == [1, 2, 0]
    body["series"][0]["cumulative"] = True
    assert [r["value"] for r in ask(made, "event", body)][:3] == [1, 2, 2]


def test_a_list_puts_a_row_in_several_groups_and_other_is_exact():
    made = project(
        ("u", "A", 0, {"t": ["x", "y", "x"]}), ("u", "A", 1, {"t": ["y"]}), ("v", "A", 2)
    )
    body = {"series": [{"e": "A", "measure": "count"}]}
    rows = ask(made, "event", body, by=[{"p": "event.t"}], time={"grain": "all"}, top={"n": 1})
    found = {(r["event.t"], r["is_other"]): r["value"] for r in rows}
    assert found == {("y", False): 2, (None, True): 2}


def test_duplicates_and_kinds():
    made = OracleProject()
    one = {"user_id": "u", "event": "A", "time": BASE, "insert_id": "i", "properties": {"n": 1}}
    made.append([one, one])
    made.append([{**one, "insert_id": "j", "properties": {"n": "x"}}])
    made.append([{**one, "insert_id": "k", "properties": {"n": 2.0}}], batch_id="b")
    made.append([{**one, "insert_id": "l"}], batch_id="b")
    assert [r.props["n"].v for r in made.rows] == [1, 2]
    assert made.refused == [(0, "type_mismatch")]


def test_profiles_are_read_now_or_at_the_event():
    made = project(("u", "A", DAY))
    for at, plan in ((0, "free"), (2 * DAY, "gold")):
        made.append(
            [
                {
                    "type": "profile_set",
                    "user_id": "u",
                    "time": BASE + at,
                    "properties": {"plan": plan},
                }
            ]
        )
    body = {"series": [{"e": "A", "measure": "count"}]}
    for as_of, plan in (("now", "gold"), ("event", "free")):
        rows = ask(made, "event", body, by=[{"p": "user.plan", "as_of": as_of}])
        assert {r["user.plan"] for r in rows} == {plan}


def test_every_generated_case_can_be_answered():
    for seed in range(40):
        case = generate.project(seed)
        made = OracleProject(case.tz)
        for batch_id, events in case.batches:
            made.append(events, batch_id)
        for number in range(3):
            with contextlib.suppress(RefusedQuery):
                answer(made, query_of(case, number), NOW)
