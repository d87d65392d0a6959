"""What is measured of events: a word (``"count"``) or a property's aggregate (``{"sum": p}``)."""

from __future__ import annotations

import re
from typing import Any, Final

from zuji.engine.query.grammar import EVENT_PROPERTY, QUANTILE, Written, ref
from zuji.engine.query.problems import Problem, shown, unknown
from zuji.engine.query.properties import EVENT, check_property

_QUANTILE = re.compile(QUANTILE)

EVENT_WORDS: Final = ("count", "users", "per_user", "sessions")
EVENT_AGGREGATES: Final = ("sum", "avg", "min", "max", "median", "distinct")


def quantile_of(word: str) -> float | None:
    """0.5 of ``median`` and ``p50``; None of everything else."""
    if word == "median":
        return 0.5
    return int(word[1:]) / 100 if _QUANTILE.fullmatch(word) else None


class Measure(Written):
    """Measure of an event series: ``op`` is a word, or an aggregate of the property ``p``."""

    __slots__ = ("op", "p")

    def __init__(self, op: str = "count", p: str | None = None) -> None:
        self.op = op
        self.p = p

    @property
    def quantile(self) -> float | None:
        """0.5 of ``median`` and ``p50``; None of everything else."""
        return quantile_of(self.op)

    @classmethod
    def read(cls, value: object) -> Measure:
        """From ``"count"`` or ``{"sum": "event.amount"}``. Raises Problem."""
        choices = (*EVENT_WORDS, *({a: "event.NAME"} for a in EVENT_AGGREGATES), {"p90": "…"})
        if isinstance(value, str):
            if value in EVENT_WORDS:
                return cls(value)
            if value in EVENT_AGGREGATES or quantile_of(value) is not None:
                raise Problem(f"{value!r} needs a property: {{{value!r}: 'event.NAME'}}")
            raise Problem(unknown("measure", value, choices))
        if not isinstance(value, dict) or len(value) != 1:
            raise Problem(
                f"expected a word or an object with one aggregate, got {shown(value)}: "
                "'count', 'users', 'per_user', 'sessions' or {'sum': 'event.NAME'}"
            )
        ((op, p),) = value.items()
        if op not in EVENT_AGGREGATES and quantile_of(op) is None:
            raise Problem(unknown("aggregate", op, (*EVENT_AGGREGATES, "p10", "p90", "p99")))
        return cls(op, check_property(p, f".{op}", (EVENT,)))

    def write(self) -> object:
        """The JSON value."""
        return self.op if self.p is None else {self.op: self.p}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema of the form."""
        aggregates = {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "propertyNames": {"pattern": f"^({'|'.join(EVENT_AGGREGATES)}|{QUANTILE})$"},
            "additionalProperties": ref(EVENT_PROPERTY),
        }
        return {"anyOf": [{"enum": list(EVENT_WORDS)}, aggregates]}
