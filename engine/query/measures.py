"""What a query measures: a word (``"count"``) or an aggregate of a property (``{"sum": p}``).

One class a model; each knows how to be read from JSON values, written back, and which column of
the answer it makes. Immutable by convention, hashable. They are plain classes since msgspec would
read a dataclass as an object of its own and never ask for :meth:`read`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from zuji.engine.query.audience import EventRef, event_from, event_to
from zuji.engine.query.problems import Problem, mapping, only, shown, unknown, whole
from zuji.engine.query.properties import EVENT, check_property

_QUANTILE = re.compile(r"p([1-9]\d?)")

EVENT_WORDS: Final = ("count", "users", "per_user", "sessions")
EVENT_AGGREGATES: Final = ("sum", "avg", "min", "max", "median", "distinct")
CUMULATIVE: Final = ("count", "users", "sessions", "sum", "distinct")
"""Measures of an event series that have a running total."""
FUNNEL_ALWAYS: Final = ("count", "rate", "step_rate", "dropped")
FUNNEL_WORDS: Final = (*FUNNEL_ALWAYS, "ttc_mean", "ttc_median", "ttc_histogram")
RETENTION_AGGREGATES: Final = ("count", "sum", "avg")


def _quantile(word: str) -> float | None:
    if word == "median":
        return 0.5
    match = _QUANTILE.fullmatch(word)
    return int(match[1]) / 100 if match else None


class _Value:
    """Equality, hash and repr over the slots."""

    __slots__: tuple[str, ...] = ()

    def _key(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self) and isinstance(other, _Value) and self._key() == other._key()
        )

    def __hash__(self) -> int:
        return hash((type(self).__name__, *self._key()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._key()))})"


class Measure(_Value):
    """Measure of an event series: ``op`` is a word, or an aggregate of the property ``p``."""

    __slots__ = ("op", "p")

    def __init__(self, op: str = "count", p: str | None = None) -> None:
        self.op = op
        self.p = p

    @property
    def quantile(self) -> float | None:
        """0.5 of ``median`` and ``p50``; None of everything else."""
        return _quantile(self.op)

    @classmethod
    def read(cls, value: object) -> Measure:
        """From ``"count"`` or ``{"sum": "event.amount"}``. Raises Problem."""
        choices = (*EVENT_WORDS, *({a: "event.NAME"} for a in EVENT_AGGREGATES), {"p90": "…"})
        if isinstance(value, str):
            if value in EVENT_WORDS:
                return cls(value)
            if value in EVENT_AGGREGATES or _quantile(value) is not None:
                raise Problem(f"{value!r} needs a property: {{{value!r}: 'event.NAME'}}")
            raise Problem(unknown("measure", value, choices))
        if not isinstance(value, dict) or len(value) != 1:
            raise Problem(
                f"expected a word or an object with one aggregate, got {shown(value)}: "
                "'count', 'users', 'per_user', 'sessions' or {'sum': 'event.NAME'}"
            )
        ((op, p),) = value.items()
        if op not in EVENT_AGGREGATES and _quantile(op) is None:
            raise Problem(unknown("aggregate", op, (*EVENT_AGGREGATES, "p10", "p90", "p99")))
        return cls(op, check_property(p, f".{op}", (EVENT,)))

    def write(self) -> object:
        """The JSON value."""
        return self.op if self.p is None else {self.op: self.p}


class FunnelMeasure(_Value):
    """Measure of a funnel; ``step`` (1-based) of a ``sum`` limits it to one step."""

    __slots__ = ("op", "p", "step")

    def __init__(self, op: str, p: str | None = None, step: int | None = None) -> None:
        self.op = op
        self.p = p
        self.step = step

    @property
    def quantile(self) -> float | None:
        """0.5 of ``ttc_p50`` and ``ttc_median``; None of everything else."""
        return _quantile(self.op.removeprefix("ttc_")) if self.op.startswith("ttc_") else None

    @property
    def column(self) -> str:
        """Name of the answer's column: ``ttc_p50``, ``sum(event.amount)``, ``…@3`` of step 3."""
        if self.p is None:
            return self.op
        return f"{self.op}({self.p})" + ("" if self.step is None else f"@{self.step}")

    @classmethod
    def read(cls, value: object) -> FunnelMeasure:
        """From ``"ttc_p50"`` or ``{"sum": "event.amount", "step": 3}``. Raises Problem."""
        if isinstance(value, str):
            measure = cls(value)
            if value not in FUNNEL_WORDS and measure.quantile is None:
                raise Problem(unknown("measure", value, (*FUNNEL_WORDS, "ttc_p90")))
            return measure
        document = mapping(value, "")
        only(document, ("sum", "step"), "")
        if "sum" not in document:
            raise Problem("expected {'sum': 'event.NAME', 'step': 3}")
        step = document.get("step")
        p = check_property(document["sum"], ".sum", (EVENT,))
        return cls("sum", p, None if step is None else whole(step, ".step", 1))

    def write(self) -> object:
        """The JSON value."""
        return self.op if self.p is None else {self.op: self.p, "step": self.step}


class RetentionMeasure(_Value):
    """A third metric of each retention cell: ``op`` over ``events`` (and their property ``p``)."""

    __slots__ = ("events", "op", "p")

    def __init__(self, op: str, events: EventRef, p: str | None = None) -> None:
        self.op = op
        self.events = events
        self.p = p

    @property
    def column(self) -> str:
        """Name of the answer's column: ``metric_count``, ``sum(event.amount)``."""
        return "metric_count" if self.p is None else f"{self.op}({self.p})"

    @classmethod
    def read(cls, value: object) -> RetentionMeasure:
        """From ``{"count": {"e", "where"}}`` or ``{"sum": p, "e", "where"}``. Raises Problem."""
        document: dict[str, Any] = mapping(value, "")
        op = next((key for key in RETENTION_AGGREGATES if key in document), None)
        if op is None:
            raise Problem(
                "expected {'count': {'e': …}}, {'sum': 'event.NAME', 'e': …} or "
                "{'avg': 'event.NAME', 'e': …}"
            )
        if op == "count":
            only(document, ("count",), "")
            return cls(op, event_from(mapping(document["count"], ".count"), ".count"))
        p = check_property(document[op], f".{op}", (EVENT,))
        only(document, (op, "e", "where"), "")
        rest = {key: item for key, item in document.items() if key != op}
        return cls(op, event_from(rest, ""), p)

    def write(self) -> object:
        """The JSON value."""
        events = event_to(self.events)
        return {"count": events} if self.p is None else {self.op: self.p, **events}
