"""A whole query → the answer's rows: kinds, audience, the model, comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.asking import RefusedQuery, Span, kind_of, shifted, span_of
from tests.oracle.filters import in_audience
from tests.oracle.models import MODELS

if TYPE_CHECKING:
    from tests.oracle.project import OracleProject


def answer(project: OracleProject, query: dict[str, Any], now: int) -> list[dict[str, Any]]:
    """The rows of the answer, in no particular order."""
    _check_kinds(project, query)
    span = span_of(project, query)
    rows = _answer(project, query, span, now)
    if query.get("compare"):
        compare = query["compare"]
        if "audience" in compare:
            swapped = {"audience": query.get("audience") or {"all": []}}
            side = "compared"
            other = {**query, "audience": compare["audience"], "compare": swapped}
        else:
            side, other, span = "previous", query, shifted(span, compare["shift"])
        rows = [{"range": "current", **r} for r in rows] + [
            {"range": side, **r} for r in _answer(project, other, span, now)
        ]
    return rows


def totals(
    project: OracleProject, query: dict[str, Any], now: int
) -> tuple[list[dict[str, Any]] | None, dict[str, Any] | None]:
    """The rows of the totals, and those over all groups; None where the model offers none."""
    span = span_of(project, query)
    model = MODELS[query["model"]]
    rows, overall = getattr(model, "totals", None), getattr(model, "overall", None)
    given = (project, query, span, _users(project, query, span, now), now)
    return rows and rows(*given), overall and overall(*given)


def _answer(
    project: OracleProject, query: dict[str, Any], span: Span, now: int
) -> list[dict[str, Any]]:
    model = MODELS[query["model"]]
    return model.answer(project, query, span, _users(project, query, span, now), now)


def _users(project: OracleProject, query: dict[str, Any], span: Span, now: int) -> list[Any]:
    """The audience."""
    within = (span.low, span.high, span.tz)
    return [
        u for u in project.users() if in_audience(project, u, query.get("audience"), within, now)
    ]


def _check_kinds(project: OracleProject, query: dict[str, Any]) -> None:
    for p, wants in MODELS[query["model"]].wanted(query["body"]):
        kind = kind_of(project, p)
        allowed = {"number": ("bool", "int", "float"), "ordered": ("bool", "int", "float")}[wants]
        if kind is not None and kind not in allowed and (wants, kind) != ("ordered", "datetime"):
            raise RefusedQuery(f"{p} is a {kind}")
    for by in query.get("by") or []:
        if by.get("buckets") and kind_of(project, by["p"]) not in (None, "int", "float"):
            raise RefusedQuery(f"{by['p']} has no buckets")
    MODELS[query["model"]].check(project, query["body"])
    for p in measured([query.get("audience"), query.get("compare"), query["body"]]):
        if kind_of(project, p) not in (None, "bool", "int", "float"):
            raise RefusedQuery(f"{p} has no numbers")


def measured(document: Any) -> list[str]:
    """Properties that audiences anywhere in a document aggregate."""
    if isinstance(document, list):
        return [p for item in document for p in measured(item)]
    if not isinstance(document, dict):
        return []
    own = [*document["measure"].values()] if "value" in document and "measure" in document else []
    return own + [p for item in document.values() for p in measured(item)]
