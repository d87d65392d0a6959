"""Makes answers-v1.json: events, queries of version 1 and their answers. Run once, when a model is
new: answers that stand in the file are never made again, for they are what users were told.

Devices that come alone have names of their own there: since ids are resolved, a device that was
seen with a customer is his, and what users were told of these events was true of devices of nobody.

``python -m tests.golden.answers_v1``
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.oracle import generate
from tests.oracle.models import MODELS
from tests.oracle.queries import query_of
from zuji.engine.calendars import parse_instant
from zuji.engine.engine import create_project, open_project
from zuji.engine.errors import InvalidQuery

if TYPE_CHECKING:
    import zuji

FILE = Path(__file__).with_name("answers-v1.json")
CLOCK = parse_instant("2027-01-01T00:00:00+00:00")
PROJECT = 77
A_MODEL = 12


def opened(folder: Path, kept: dict[str, Any]) -> zuji.Engine:
    """The project of the file."""
    create_project(folder, "default", tz=kept["tz"], shards=kept["shards"])
    engine = open_project(folder, "default", clock=lambda: CLOCK)
    for batch in kept["batches"]:
        engine.append(batch)
    return engine


def _plain(batch: list[dict[str, Any]]) -> Any:
    return json.loads(json.dumps(batch, default=lambda value: value.isoformat()))


def main() -> None:
    """Adds what is missing."""
    if FILE.exists():
        kept = json.loads(FILE.read_text(encoding="utf-8"))
    else:
        case = generate.project(PROJECT)
        batches = [_plain(events) for _, events in case.batches]
        kept = {"tz": case.tz, "shards": case.shards, "batches": batches, "answers": []}
    there = {one["query"]["model"] for one in kept["answers"]}
    case = generate.project(PROJECT)
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "d", kept) as engine:
        for model in MODELS:
            found = 0
            for k in range(1000):
                if model in there or found == A_MODEL:
                    break
                query = query_of(case, k, model)
                try:
                    result = engine.query(query)
                except InvalidQuery:
                    continue
                if not 0 < len(result.rows) <= 60:
                    continue
                found += 1
                answer = {"names": result.names, "rows": result.rows, "totals": result.totals}
                kept["answers"].append({"query": query, "answer": answer})
    lines = [json.dumps(one, ensure_ascii=False) for one in kept["answers"]]
    head = json.dumps({**kept, "answers": []}, ensure_ascii=False)[: -len("]}")]
    FILE.write_text(head + "\n" + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
