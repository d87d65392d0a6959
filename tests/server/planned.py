"""A plan before an engine, for tests: what is stored, what is refused, what was found."""

import json

import msgpack

import zuji
from zuji.engine.export import read_events
from zuji.server.plan.document import decoded
from zuji.server.plan.gate import Gate
from zuji.server.plan.rules import Rules
from zuji.server.plan.tokens import Tokens

NOW = 1_790_827_200_000
"""2026-10-01 12:00 in Shanghai."""
DAY = 86_400_000
HOUR = 3_600_000
KEY = b"k" * 32


def plan(mode="strict", **more):
    """A small plan: event `pay` with `amount`, `city`, `when`, `tags`, `level`, `paid`."""
    document = {
        "mode": mode,
        "events": [{"name": "pay"}, {"name": "view", "properties": ["city"]}],
        "properties": [
            {"name": "amount", "kind": "float64"},
            {"name": "city", "kind": "string"},
            {"name": "count", "kind": "int64"},
            {"name": "paid", "kind": "bool"},
            {"name": "when", "kind": "datetime"},
            {"name": "tags", "kind": "list"},
            {"name": "any"},
        ],
        "user_properties": [{"name": "level", "kind": "int64"}],
        **more,
    }
    return decoded(json.dumps(document))


def secrets(mode="open", **more):
    """A plan with sensitive properties."""
    return plan(
        mode,
        **{
            "properties": [
                {"name": "pin", "sensitive": "refuse"},
                {"name": "id_card", "kind": "string", "sensitive": "tokenise"},
                {"name": "city", "kind": "string"},
            ],
            "user_properties": [{"name": "phone", "sensitive": "tokenise"}, {"name": "level"}],
            **more,
        },
    )


def gate_of(document):
    """The gate of a plan."""
    return Gate(Rules(document, Tokens(KEY)))


def event(name="pay", time=NOW, properties=None, **more):
    """A native event."""
    return {"event": name, "time": time, "user_id": "u", "properties": properties or {}, **more}


def batch(events, form="msgpack", **head):
    """A batch in one of its forms."""
    body = {**head, "events": events} if head else events
    if form == "msgpack":
        return msgpack.packb(body)
    if form == "lines":
        return b"\n".join(json.dumps(one, ensure_ascii=False).encode() for one in events)
    return json.dumps(body, ensure_ascii=form == "escaped").encode()


FORMS = ("msgpack", "json", "escaped", "lines")


class Outcome:
    """What became of events."""

    def __init__(self, passed, result, stored, kept, kinds):
        self.passed = passed
        self.result = result
        self.stored = stored
        self.kept = kept
        self.kinds = kinds

    @property
    def codes(self):
        """What was found: (index, code, path, severity)."""
        return [(f.index, f.code, f.path, f.severity) for f in self.passed.findings]

    @property
    def rejected(self):
        """What was refused: (index, code, path)."""
        return [(r.index, r.reason, r.path) for r in self.result.rejected]


def sent(tmp_path, document, events, form="msgpack", **head):
    """Sends events through the gate of a plan to an engine."""
    gate = document if isinstance(document, Gate) else gate_of(document)
    passed = gate.passed(batch(events, form, **head), NOW)
    with zuji.open(tmp_path / "data") as engine:
        result = engine.append_batch(passed.batch)
        return Outcome(
            passed,
            result,
            stored_properties(engine),
            list(engine.rejected()),
            {p["name"]: p["kind"] for p in engine.properties()},
        )


SYSTEM = ("event", "time", "user_id", "device_id")


def rows_of(engine):
    """All events as mappings of what has a value, in the order of their insert."""
    rows = [row for table in read_events(engine) for row in table.to_pylist()]
    return [{k: v for k, v in row.items() if v is not None} for row in rows]


def stored_properties(engine):
    """Properties of all events."""
    return [{k: v for k, v in row.items() if k not in SYSTEM} for row in rows_of(engine)]
