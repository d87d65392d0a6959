"""The models: one module each, found by name in one table. No model's name is known elsewhere in
the engine.

A module offers ``scans(bound)``, ``answer(bound)`` and ``users(bound, pick)``; see
``answer.Analysis``.
"""

from typing import Any

from zuji.engine.query.analyses import event, funnel, retention

ANALYSES: dict[str, Any] = {"event": event, "funnel": funnel, "retention": retention}

__all__ = ["ANALYSES"]
