"""The table of limits in docs/operations.md: complete, with the numbers of the code, and true. Each
limit is met and passed, and what is answered beyond it is what the table says.
"""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from tests.hostile.limits_hit import HITS, World
from tests.serving import Live, zuji_command
from zuji.engine.config import Config
from zuji.engine.limits import Limits
from zuji.server.api.app import QUERY_BYTES
from zuji.server.plan.document import OPEN
from zuji.server.plan.live import MOST_WATCHERS
from zuji.server.protocols import columnar
from zuji.server.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
NO_LIMITS = {"stop_seconds", "query_concurrency", "session_idle", "session_most"}
"""Numbers among the settings that refuse nothing."""
FIXED = {
    "column_rows": columnar.ROWS,
    "column_bytes": columnar.SWELL * columnar.SWELL_FROM,
    "column_batch_id": columnar.ID_BYTES,
    "request_bytes": QUERY_BYTES,
    "watchers": MOST_WATCHERS,
}


def in_code():
    """Every limit and its number, by owner and name."""
    settings = Settings()
    numbers = {f.name: getattr(settings, f.name) for f in fields(Settings)}
    found = {
        ("server", name): value
        for name, value in numbers.items()
        if type(value) in (int, float) and name not in NO_LIMITS
    }
    limits = Limits()
    found |= {("limits", f.name): getattr(limits, f.name) for f in fields(Limits)}
    found["config", "query_memory"] = Config().query_bytes
    found["plan", "back_days"] = OPEN.late.back_days
    found["plan", "ahead_hours"] = OPEN.late.ahead_hours
    return found | {("fixed", name): value for name, value in FIXED.items()}


def in_docs():
    """Rows of the table: (number, what is answered), by owner and name."""
    text = DOCS.read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| (-?[\d,.]+) ([^|]+) \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE
    )
    return {
        (owner, name): (float(number.replace(",", "")), answer.replace("`", ""))
        for name, owner, number, _unit, answer in rows
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    # All that is refused here is of one address, which would soon be told to wait for it.
    live = Live(tmp_path_factory.mktemp("limits") / "data", "--set", "refused_rate=0")
    place = ("--data", live.data, "--project", "app")
    keys = {kind: zuji_command("key", "create", *place, f"--{kind}") for kind in ("read", "admin")}
    live.start()
    try:
        ports = [int(url.rpartition(":")[2]) for url in (live.address, live.api)]
        yield World(*ports, {**keys, "write": live.key})
    finally:
        live.stop()


def test_the_table_has_every_limit_with_its_number():
    assert {key: number for key, (number, _) in in_docs().items()} == in_code()


def test_every_limit_is_hit():
    assert HITS.keys() == in_code().keys()


@pytest.mark.parametrize("key", HITS, ids=" ".join)
def test_beyond_a_limit_the_answer_is_what_the_table_says(world, key):
    at, over = HITS[key](world)
    assert at == "200", "what is within the limit is not taken"
    assert over == in_docs()[key][1]
