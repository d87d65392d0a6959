"""``zuji timeline``: what one user did."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from zuji.engine.errors import InvalidInput
from zuji.server.cli import asking, ids
from zuji.server.cli.opening import reading
from zuji.server.cli.outcome import OK, say

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.engine.engine import Engine
    from zuji.server.cli.asking import Form


def timeline(
    document: dict[str, Any],
    whom: tuple[str, str],
    where: str | None,
    data: Path,
    project: str,
    form: Form,
) -> int:
    """Shows a page; says on standard error how to get the next one. ``whom``: a type of id and the
    id. ``where``: a filter in JSON.

    :raises InvalidInput: the filter is no JSON object; it is no type of id.
    :raises NotFound: nobody has the id.
    """
    kind = ids.id_type(whom[0])
    if where is not None:
        try:
            document["where"] = msgspec.json.decode(where, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise InvalidInput(f"--where is not a JSON object: {error}") from None
    with reading(data, project) as engine:
        began = time.monotonic()
        result = engine.timeline(document | _whose(engine, kind, whom[1]))
        took = time.monotonic() - began
        asking.show(result, form, took)
    if result.meta["next"] is not None and not form.quiet:
        say(f"more: --cursor {result.meta['next']}")
    return OK


def _whose(engine: Engine, kind: str, own_id: str) -> dict[str, str]:
    """Whom a timeline is asked of: for a typed id whose it is now, else its own."""
    if kind in ("user_id", "device_id"):
        return {kind: own_id}
    whole = ids.device(own_id, kind)
    device = engine.identity.of(whole)["device"]
    owner = None if device is None else device["owners"][-1]["user_id"]
    return {"device_id": whole} if owner is None else {"user_id": owner}
