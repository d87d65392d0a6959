"""The console's copy of the query language's schema is that of the engine."""

from __future__ import annotations

import json
from pathlib import Path

from zuji.engine.query.schema import json_schema

CONSOLE = Path(__file__).parents[2] / "server" / "console"


def test_the_schema_that_types_are_made_of_is_not_old() -> None:
    kept = json.loads((CONSOLE / "src" / "api" / "schema.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(json_schema())), "python server/console/scripts/schema.py"
