"""Reading a query: JSON text or values → the query of its model, or InvalidQuery with a JSON path.

After the types (``documents.py``) comes what depends on several fields (``checks.py`` and the
model), which also fills the defaults that do. So a parsed query is complete but for ``time.tz``
(the project's zone). :func:`echo` gives it back as JSON values; ``parse(echo(q)) == q``.
Thread-safe: functions only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from zuji.engine.errors import InvalidQuery
from zuji.engine.limits import DEFAULT_LIMITS, Limits
from zuji.engine.query import checks
from zuji.engine.query.analyses import ANALYSES
from zuji.engine.query.documents import convert, load, plain
from zuji.engine.query.upgrade import upgraded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.query.model import Envelope, Pick

QUERY: Any = Union[tuple(model.query for model in ANALYSES.values())]  # noqa: UP007
"""The type of any query, for msgspec."""


def parse(
    document: Mapping[str, Any] | str | bytes, *, limits: Limits = DEFAULT_LIMITS
) -> Envelope:
    """Reads and checks a query. Raises InvalidQuery; its ``path`` is where. O(size)."""
    query: Envelope = convert(upgraded(load(document, limits)), QUERY)
    return checks.complete(query)


def parse_pick(
    document: Mapping[str, Any] | str | bytes, query: Envelope, *, limits: Limits = DEFAULT_LIMITS
) -> Pick:
    """Reads the coordinates of a cell of the query's answer. Paths start at ``$.pick``."""
    try:
        pick: Pick = convert(load(document, limits), ANALYSES[query.model].pick)
        return checks.complete_pick(pick, query)
    except InvalidQuery as error:
        if error.path.startswith("$.pick"):
            raise
        raise InvalidQuery(str(error.args[0]), "$.pick" + error.path[1:]) from None


def echo(query: Envelope | Pick) -> dict[str, Any]:
    """The query as JSON values with every default written out, for the answer's ``query``."""
    out: dict[str, Any] = plain(query)
    return out
