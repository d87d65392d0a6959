"""What a funnel measures beside its counts: times to convert and sums of a property."""

from __future__ import annotations

from typing import Any, Final

from zuji.engine.query.grammar import EVENT_PROPERTY, QUANTILE, Written, nullable, object_of, ref
from zuji.engine.query.measures import quantile_of
from zuji.engine.query.problems import Problem, mapping, only, unknown, whole
from zuji.engine.query.properties import EVENT, check_property

FUNNEL_ALWAYS: Final = ("count", "rate", "step_rate", "dropped")
FUNNEL_WORDS: Final = (*FUNNEL_ALWAYS, "ttc_mean", "ttc_median", "ttc_histogram")


class FunnelMeasure(Written):
    """Measure of a funnel; ``step`` (1-based) of a ``sum`` limits it to one step."""

    __slots__ = ("op", "p", "step")

    def __init__(self, op: str, p: str | None = None, step: int | None = None) -> None:
        self.op = op
        self.p = p
        self.step = step

    @property
    def quantile(self) -> float | None:
        """0.5 of ``ttc_p50`` and ``ttc_median``; None of everything else."""
        return quantile_of(self.op.removeprefix("ttc_")) if self.op.startswith("ttc_") else None

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

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema of the form."""
        words = {"type": "string", "pattern": f"^({'|'.join(FUNNEL_WORDS)}|ttc_{QUANTILE})$"}
        step = nullable({"type": "integer", "minimum": 1})
        return {"anyOf": [words, object_of({"sum": ref(EVENT_PROPERTY), "step": step}, ["sum"])]}
