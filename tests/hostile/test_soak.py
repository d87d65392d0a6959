"""A short soak, and whether the verdicts of long ones are right; `make soak` runs those."""

import pytest

from bench import soak


def seen(growth_mib=0.0, fresh_ms=20.0, merges=3, problems=(), filling=0.0):
    """Twenty minutes of a server whose memory goes up and down, and grows so much a minute.
    ``filling``: part of the run in which what has a limit fills up.
    """
    found = soak.Soak(20.0, fresh_ms=[fresh_ms] * 100, problems=list(problems))
    found.samples = [
        {
            "minute": i / 12,
            "own": 1000
            + growth_mib * i / 12
            + 200 * (i % 7) / 7
            - 600 * max(0.0, 1 - i / max(240 * filling, 1)),
            "rows": soak.WARM_ROWS * i / max(240 * filling, 1),
            "memtables": 200 * (i % 7) / 7,
            "keys": 100 - 60 * max(0.0, 1 - i / max(240 * filling, 1)),
            "compactions": merges * i // 240,
        }
        for i in range(1, 241)
    ]
    return found


def verdict(**changes):
    return {name for name, good in soak.report(seen(**changes))["verdict"].items() if not good}


def test_a_good_run_is_good():
    assert verdict() == set()


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({"growth_mib": 10.0}, {"memory_flat"}),
        ({"fresh_ms": 1500.0}, {"fresh"}),
        ({"merges": 0}, {"merges_went_on"}),
        ({"problems": ["lost"]}, {"nothing_wrong"}),
    ],
)
def test_each_fault_is_seen(changes, bad):
    assert verdict(**changes) == bad


def test_memory_that_fills_up_first_is_flat_when_it_is_full():
    """On a slow machine that takes longer than a quarter of the run."""
    assert verdict(filling=0.4) == set()
    assert verdict(filling=0.4, growth_mib=10.0) == {"memory_flat"}
    assert soak.report(seen(filling=0.4))["own_memory_mib"]["from_minute"] >= 8.0


def test_a_run_that_hardly_did_more_than_fill_up_does_not_tell():
    assert verdict(filling=0.6) == {"memory_flat"}


def test_the_parts_that_grow_are_told():
    grows = soak.report(seen(growth_mib=10.0))["own_memory_mib"]["grows_a_minute_by_part"]
    assert grows["rest"] == pytest.approx(10.0, rel=0.05)
    assert grows["memtables"] == pytest.approx(0.0, abs=0.5)
    assert grows["keys"] == grows["ids"] == 0.0


def test_the_slope_is_that_of_the_memory():
    own = soak.report(seen(growth_mib=10.0))["own_memory_mib"]
    assert own["grows_a_minute"] == pytest.approx(10.0, rel=0.05)


@pytest.mark.timeout(300)
def test_all_that_was_acknowledged_is_stored(tmp_path):
    found = soak.run(tmp_path, minutes=0.1, senders=2, gigabytes=5)
    assert found.problems == []
    assert found.fresh_ms
    assert found.stored > 10_000
    assert list(tmp_path.iterdir()) == []
