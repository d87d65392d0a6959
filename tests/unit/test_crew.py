"""Many queries at once: turns, shared memory, helpers, ends. Conditions, never times."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from zuji.engine.errors import EngineClosed, QueryBudgetExceeded, QueryCancelled
from zuji.engine.query.context import Cancel, Context
from zuji.engine.query.crew import Crew

WAIT_S = 60
"""A test that hangs fails after this; none waits for time to pass."""


@pytest.fixture
def crew():
    crew = Crew(2, 1_000)
    yield crew
    crew.close()


def context(crew, *, seconds=WAIT_S, memory=1 << 40, cancel=None, progress=None):
    return Context(
        seconds=seconds, memory_bytes=memory, crew=crew, cancel=cancel, progress=progress
    )


def background(work):
    """Runs work on a thread; the returned function joins it and gives its answer or error."""
    told = []

    def run():
        try:
            told.append((work(), None))
        except BaseException as error:
            told.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join():
        thread.join(WAIT_S)
        assert not thread.is_alive()
        value, error = told[0]
        if error is not None:
            raise error
        return value

    return join


def until(condition):
    """Waits for a condition that another thread brings about."""
    ticks = threading.Event()
    for _ in range(WAIT_S * 200):
        if condition():
            return
        ticks.wait(0.005)
    raise AssertionError("the condition did not come true")


def test_results_are_in_the_order_of_the_items(crew):
    with context(crew) as query:
        assert query.map(lambda x: x * x, list(range(100))) == [x * x for x in range(100)]
        assert query.map(lambda x: x, []) == []
        assert query.map(str, [1, 2], light=True) == ["1", "2"]


def test_one_query_is_worked_on_by_two_threads(crew):
    both = threading.Barrier(2)

    def piece(_):
        both.wait(WAIT_S)  # passes only when two pieces run at the same time
        return threading.current_thread().name

    with context(crew) as query:
        assert len(set(query.map(piece, [0, 1]))) == 2


def test_a_light_map_stays_on_its_thread(crew):
    here = threading.current_thread().name
    with context(crew) as query:
        names = query.map(lambda _: threading.current_thread().name, [0, 1, 2], light=True)
    assert set(names) == {here}


def test_queries_go_first_come_first_served(crew):
    order, go = [], threading.Event()

    def hold():
        with context(crew):
            go.wait(WAIT_S)

    def pass_through(number):
        with context(crew):
            order.append(number)

    crew.turns.count = 1
    first = background(hold)
    until(lambda: crew.turns.running == 1)
    crew.turns.tick = lambda: None  # no turn is taken away in this test
    joins = []
    for number in range(5):
        joins.append(background(lambda number=number: pass_through(number)))
        until(lambda number=number: crew.turns.waiting == number + 1)
    go.set()
    first()
    for join in joins:
        join()
    assert order == list(range(5))
    assert crew.turns.running == crew.turns.waiting == 0


def test_queries_that_never_end_do_not_keep_others_out(crew):
    go = threading.Event()

    def hold():
        with context(crew):
            go.wait(WAIT_S)

    heavy = [background(hold) for _ in range(6)]
    for _ in range(20):  # each gets in although all six never give up their turn
        with context(crew) as query:
            assert query.map(lambda x: x, [1, 2, 3]) == [1, 2, 3]
    until(lambda: crew.turns.running == 6)
    go.set()
    for join in heavy:
        join()


def test_pieces_of_a_heavy_query_do_not_block_a_light_one(crew):
    stuck, go = threading.Event(), threading.Event()

    def piece(_):
        stuck.set()
        go.wait(WAIT_S)

    def heavy():
        with context(crew) as query:
            query.map(piece, list(range(50)))

    join = background(heavy)
    assert stuck.wait(WAIT_S)
    with context(crew) as query:
        assert query.map(lambda x: -x, [1, 2, 3]) == [-1, -2, -3]
    go.set()
    join()


def test_the_first_failure_ends_the_others(crew):
    def piece(number):
        if number == 1:
            raise ValueError("piece 1")
        query.check()
        return number

    with pytest.raises(ValueError, match="piece 1"), context(crew) as query:
        query.map(piece, list(range(1000)))
    assert query.flag[0] == 1


def test_cancelling_ends_a_query_that_polls_only_the_flag(crew):
    cancel, polling = Cancel(), threading.Event()

    def kernel(_):
        polling.set()
        until(lambda: query.flag[0])
        raise QueryCancelled("as kernels do")

    def run():
        nonlocal query
        with context(crew, cancel=cancel) as query:
            query.map(kernel, [0, 1])

    query = None
    join = background(run)
    assert polling.wait(WAIT_S)
    cancel.cancel()
    with pytest.raises(QueryCancelled, match="cancelled"):
        join()
    assert cancel.cancelled


def test_a_deadline_ends_a_query_that_polls_only_the_flag(crew):
    def kernel(_):
        until(lambda: query.flag[0])
        raise QueryCancelled("as kernels do")

    cancel = Cancel()
    with (
        pytest.raises(QueryBudgetExceeded, match=r"longer than its 0\.01 s"),
        context(crew, seconds=0.01, cancel=cancel) as query,
    ):
        query.map(kernel, [0, 1, 2])
    assert not cancel.cancelled  # it may be used again


def test_a_query_in_line_can_be_cancelled_or_run_out_of_time(crew):
    go = threading.Event()

    def hold():
        with context(crew):
            go.wait(WAIT_S)

    crew.turns.count = 1
    first = background(hold)
    until(lambda: crew.turns.running == 1)
    crew.turns._admit = lambda: None  # nobody is let in
    cancel = Cancel()
    waiting = background(lambda: context(crew, cancel=cancel).__enter__())
    until(lambda: crew.turns.waiting == 1)
    cancel.cancel()
    with pytest.raises(QueryCancelled):
        waiting()
    with pytest.raises(QueryBudgetExceeded):
        context(crew, seconds=0.01).__enter__()
    assert crew.turns.waiting == 0
    go.set()
    first()


def test_a_query_over_its_own_memory_fails_and_gives_all_back(crew):
    with context(crew, memory=500) as query:
        query.charge(400)
        assert crew.memory.used == 400
        with pytest.raises(QueryBudgetExceeded, match="memory"):
            query.charge(400)
    assert crew.memory.used == 0


def test_what_is_given_back_may_be_taken_again(crew):
    with context(crew, memory=500) as query:
        for _ in range(3):
            query.charge(400)
            query.release(300)
            query.release(100)
        query.charge(10)
        assert crew.memory.used == query.charged == 10
    query.release(10)  # after the end: all was given back
    assert crew.memory.used == 0


def test_memory_of_all_queries_adds_up_and_the_oldest_never_waits(crew):
    with context(crew) as oldest:
        oldest.charge(900)

        def second():
            with context(crew) as query:
                query.charge(200)
                return crew.memory.used

        join = background(second)
        until(lambda: crew.turns.running == 2)
        oldest.charge(500)  # over the sum: it must come to its end
        assert crew.memory.used == 1_400
        with pytest.raises(QueryBudgetExceeded), context(crew, seconds=0.01) as late:
            late.charge(1)  # waits for memory until its time is over
    assert join() == 200
    assert crew.memory.used == 0


def test_closing_ends_running_queries():
    crew = Crew(2, 1_000)
    inside = threading.Event()

    def piece(_):
        inside.set()
        until(lambda: query.flag[0])
        query.check()

    def run():
        nonlocal query
        with context(crew) as query:
            query.map(piece, [0, 1])

    query = None
    join = background(run)
    assert inside.wait(WAIT_S)
    crew.close()
    with pytest.raises(EngineClosed):
        join()
    assert not any(thread.is_alive() for thread in crew._helpers)
    with pytest.raises(EngineClosed):
        context(crew).__enter__()


def test_progress_is_told_in_the_thread_of_the_query(crew):
    told = []
    with context(crew, progress=lambda share: told.append((share, threading.get_ident()))) as query:
        query.map(lambda x: x, list(range(10)))
    assert {who for _, who in told} == {threading.get_ident()}
    assert told[-1][0] == 1.0
    assert np.all(np.diff([share for share, _ in told]) >= 0)
