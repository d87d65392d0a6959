"""What is measured of events: a word (``"count"``) or a property's aggregate (``{"sum": p}``)."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final, Self

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


class Aggregated(Written):
    """A word, or an aggregate of the property ``p``: what :class:`Measure` and its like share.

    ``WORDS`` may stand alone; ``CHOICES``: what an error names.
    """

    __slots__ = ()
    WORDS: ClassVar[tuple[str, ...]]
    CHOICES: ClassVar[tuple[object, ...]]
    op: str
    p: str | None

    def __init__(self, op: str, p: str | None = None) -> None:
        raise NotImplementedError

    @property
    def quantile(self) -> float | None:
        """0.5 of ``median`` and ``p50``; None of everything else."""
        return quantile_of(self.op)

    @classmethod
    def read(cls, value: object) -> Self:
        """From a word or ``{"sum": "event.amount"}``. Raises Problem."""
        if isinstance(value, str):
            if value in cls.WORDS:
                return cls(value)
            if value in EVENT_AGGREGATES or quantile_of(value) is not None:
                raise Problem(f"{value!r} needs a property: {{{value!r}: 'event.NAME'}}")
            raise Problem(unknown("measure", value, cls.CHOICES))
        if not isinstance(value, dict) or len(value) != 1:
            raise Problem(
                f"expected a word or an object with one aggregate, got {shown(value)}: "
                f"{', '.join(map(repr, cls.WORDS))} or {{'sum': 'event.NAME'}}"
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
        return {"anyOf": [{"enum": list(cls.WORDS)}, aggregates]}


class Measure(Aggregated):
    """Measure of an event series: ``op`` is a word, or an aggregate of the property ``p``."""

    __slots__ = ("op", "p")
    WORDS = EVENT_WORDS
    CHOICES = (*EVENT_WORDS, *({a: "event.NAME"} for a in EVENT_AGGREGATES), {"p90": "…"})

    def __init__(self, op: str = "count", p: str | None = None) -> None:
        self.op = op
        self.p = p
