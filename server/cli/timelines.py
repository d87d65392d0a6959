"""``zuji timeline``: what one user did."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from zuji.engine.errors import InvalidInput
from zuji.server.cli import asking
from zuji.server.cli.opening import reading
from zuji.server.cli.outcome import OK, say

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.server.cli.asking import Form


def timeline(
    document: dict[str, Any], where: str | None, data: Path, project: str, form: Form
) -> int:
    """Shows a page; says on standard error how to get the next one. ``where``: a filter in JSON.

    :raises InvalidInput: the filter is no JSON object.
    """
    if where is not None:
        try:
            document["where"] = msgspec.json.decode(where, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise InvalidInput(f"--where is not a JSON object: {error}") from None
    with reading(data, project) as engine:
        began = time.monotonic()
        result = engine.timeline(document)
        took = time.monotonic() - began
        asking.show(result, form, took)
    if result.meta["next"] is not None and not form.quiet:
        say(f"more: --cursor {result.meta['next']}")
    return OK
