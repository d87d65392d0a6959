"""Writes ``src/api/schema.json``: the query language's JSON Schema, of which types are made.

``python server/console/scripts/schema.py``; a test says when the file is old.
"""

from __future__ import annotations

import json
from pathlib import Path

from zuji.engine.query.schema import json_schema

FILE = Path(__file__).parent.parent / "src" / "api" / "schema.json"


def text() -> str:
    """What the file should hold."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
