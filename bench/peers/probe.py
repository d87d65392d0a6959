"""Finding the fastest form of a question: each is run twice, the better time counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.measure import Run

PROBES = 2


def best(forms: dict[str, Any], run: Callable[[Any], Run]) -> tuple[str, dict[str, float]]:
    """Name of the fastest form, and the best probe of each in seconds. One form is run once, so
    that it is warm as the others are.
    """
    probes = PROBES if len(forms) > 1 else 1
    seen = {name: min(run(form).seconds for _ in range(probes)) for name, form in forms.items()}
    return min(seen, key=seen.__getitem__), seen
