"""The judge: answers are compared cell by cell, figures and reports say what was measured."""

from __future__ import annotations

import json

import pytest

from bench import compare, contest, report
from bench.chart import bars
from bench.measure import Run, timed
from bench.peers import PEERS
from bench.questions import questions
from bench.shape import Shape, year_of


def _run(ms: float) -> Run:
    return Run(ms / 1000, ms / 500, 0, 1_000_000, 50 << 20, [])


def _pair(zuji: list[float], peer: list[float]) -> dict:
    ours, theirs = (contest.figures([_run(ms) for ms in runs]) for runs in (zuji, peer))
    return {"zuji": ours, "peer": theirs, "form": "form 1", "equal": True, "differences": []} | {
        "ratio": theirs["ms"] / ours["ms"]
    }


@pytest.fixture
def made() -> dict:
    shape = Shape(1_000)
    line = {
        "title": "a < b",
        "goal_ms": 10.0,
        "goal_ratio": 20.0,
        "peers": {"clickhouse": _pair([1, 2, 3], [50, 40, 60]), "duckdb": _pair([2], [20])},
    }
    contest._conclude(line)
    return {
        "shape": {"rows": shape.rows, "seed": 1, "users": 10, "urls": 50, "days": 30},
        "machine": report.machine(),
        "threads": 2,
        "rounds": 3,
        "queries": {"trend": line},
    }


def test_a_cell_that_differs_or_is_missing_is_named():
    assert contest.differences({"a": 1}, {"a": 1}, "duckdb") == []
    assert contest.differences({"a": 1}, {"a": 2}, "duckdb") == ["a: Zuji 1, DuckDB 2"]
    assert contest.differences({"a": 0}, {}, "polars") == []
    assert contest.differences({"a": 1}, {}, "polars") == ["a: Zuji 1, Polars 0"]
    assert contest.differences({}, {"a": 1}, "polars") == ["a: missing in Zuji"]


def test_the_ratio_is_the_lowest_of_the_pairs(made):
    line = made["queries"]["trend"]
    assert line["best_peer"] == "duckdb"
    assert line["ratio"] == 10
    assert line["zuji"]["ms"] == 2
    assert (line["zuji"]["min_ms"], line["zuji"]["max_ms"]) == (1, 3)


def test_the_report_is_written_whole(made, tmp_path):
    as_json, as_text = report.write(made, tmp_path)
    assert json.loads(as_json.read_text())["queries"]["trend"]["ratio"] == 10
    text = as_text.read_text()
    assert "| a < b | 2.0 | 1.0–3.0 | ≤ 10 |" in text
    assert "≥ 20 ×: **no**" in text
    drawing = (tmp_path / "report.svg").read_text()
    assert drawing.startswith("<svg")
    assert "a &lt; b" in drawing


def test_without_peers_there_is_no_chart(made):
    made["queries"]["trend"].pop("peers")
    assert bars(made) == ""


@pytest.mark.parametrize("shape", [Shape(10_000), year_of(10_000)])
def test_every_question_has_a_form_for_every_peer_and_a_name_of_its_own(shape):
    asked = questions(shape)
    assert len({q.name for q in asked}) == len(asked)
    for question in asked:
        for peer in PEERS.values():
            assert peer.forms(question)
        for query in question.queries:
            assert query.get("time", {"from": "2026-10-01"})["from"] == "2026-10-01"
            assert query.get("time", {"to": "2026-10-30"})["to"] == "2026-10-30"


def test_a_run_is_measured():
    run = timed(lambda: ([sum(range(200_000))], 7))
    assert run.seconds > 0
    assert run.cpu_seconds > 0
    assert run.scanned_bytes == 7


def _told(zuji: float, peer: float, spread: float = 1.0) -> dict:
    runs = [zuji / spread, zuji, zuji * spread]
    return {
        "rows": 1,
        "machine": {"commit": "abc"},
        "load": {},
        "queries": {
            "q": {
                "title": "q",
                "zuji": contest.figures([_run(ms) for ms in runs]),
                "peers": {"duckdb": _pair(runs, [peer] * 3)},
            }
        },
    }


def _verdict(old: dict, new: dict) -> str:
    shape = {"shape": {"rows": 1}}
    [line] = compare.compared(compare.brief(old | shape), compare.brief(new | shape))
    return line["verdict"]


def test_slower_is_told_by_the_ratio_not_by_the_time():
    assert _verdict(_told(1, 10), _told(2, 10)) == "slower"
    assert _verdict(_told(1, 10), _told(2, 20)) == "same"
    assert _verdict(_told(1, 10), _told(0.5, 10)) == "faster"
    assert _verdict(_told(1, 10), _told(1.1, 10)) == "same"


def test_noise_excuses_a_change():
    assert _verdict(_told(1, 10, 2.0), _told(1.5, 10, 2.0)) == "same"
    assert _verdict(_told(1, 10, 2.0), _told(40, 10, 2.0)) == "slower"


def test_a_baseline_is_read_back(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare, "BASELINE", tmp_path / "baseline.json")
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(_told(1, 10) | {"shape": {"rows": 1}}))
    new.write_text(json.dumps(_told(3, 10) | {"shape": {"rows": 1}}))
    assert compare.main([str(old), "--write"]) == 0
    assert compare.main([str(old)]) == 0
    assert compare.main([str(new)]) == 1
    assert "**slower**" in capsys.readouterr().out


def test_a_question_that_fails_is_told_and_the_others_are_shown(made, tmp_path):
    made["queries"]["broken"] = {
        "title": "broken",
        "goal_ms": None,
        "goal_ratio": 5.0,
        "errors": {"duckdb": "out of memory"},
    }
    text = report.write(made, tmp_path)[1].read_text()
    assert "| broken | **failed** |" in text
    assert "| a < b | 2.0 |" in text
    assert list(compare.brief(made)["queries"]) == ["trend"]
