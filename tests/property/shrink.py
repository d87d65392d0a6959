"""Makes a differing (project, query) pair small: drops events and query parts while the answers
still differ.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.property.pairs import Pair
from zuji.engine.errors import InvalidQuery
from zuji.engine.query.parse import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.oracle.generate import Case


def differs(case: Case, query: dict[str, Any]) -> list[str]:
    """The first differences in any state, or the engine's failure; empty when all is equal."""
    try:
        parse(query)
    except InvalidQuery:
        return []
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(case, Path(folder) / "p")
        try:
            for state in pair.states():
                found = pair.differences(query)
                if found:
                    return [state, *found]
        except Exception as error:
            return [repr(error)]
        finally:
            pair.close()
    return []


def shrink(case: Case, query: dict[str, Any]) -> tuple[Case, dict[str, Any]]:
    """A small case that still differs (in whatever way)."""
    going = bool(differs(case, query))
    while going:
        going = False
        for smaller in _cases(case):
            if differs(smaller, query):
                case, going = smaller, True
                break
        for simpler in _queries(query):
            if differs(case, simpler):
                query, going = simpler, True
                break
    return case, query


def _cases(case: Case) -> Iterator[Case]:
    """The case with fewer batches, then with runs of events cut out, then single ones."""
    for i in range(len(case.batches)):
        yield _with(case, case.batches[:i] + case.batches[i + 1 :])
    for size in (16, 8, 4, 2, 1):
        for i, (batch_id, events) in enumerate(case.batches):
            for at in range(0, len(events), size):
                if len(events) > 1:
                    kept = events[:at] + events[at + size :]
                    yield _with(case, [*case.batches[:i], (batch_id, kept), *case.batches[i + 1 :]])
    if case.shards > 1:
        fewer = copy.copy(case)
        fewer.shards = 1
        yield fewer
    for i, (batch_id, events) in enumerate(case.batches):
        for j, event in enumerate(events):
            for name in event.get("properties") or {}:
                props = {k: v for k, v in event["properties"].items() if k != name}
                kept = [*events[:j], {**event, "properties": props}, *events[j + 1 :]]
                yield _with(case, [*case.batches[:i], (batch_id, kept), *case.batches[i + 1 :]])


def _with(case: Case, batches: list[Any]) -> Case:
    made = copy.copy(case)
    made.batches = batches
    return made


def _queries(query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for holder, names in (("", list(query)), ("body", list(query["body"]))):
        for name in names:
            if name in ("v", "model", "time", "body", "steps", "series", "start", "return"):
                continue
            made = copy.deepcopy(query)
            del (made[holder] if holder else made)[name]
            yield made
    for name in ("steps", "series", "exclude"):
        for i in range(len(query["body"].get(name, []))):
            made = copy.deepcopy(query)
            del made["body"][name][i]
            if name != "steps" or len(made["body"]["steps"]) >= 2:
                yield made
    for name in ("steps", "series", "exclude"):
        for i, item in enumerate(query["body"].get(name, [])):
            if "where" in item:
                made = copy.deepcopy(query)
                del made["body"][name][i]["where"]
                yield made
