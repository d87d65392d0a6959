"""Zuji (足迹): an engine for user-behaviour analytics, as a library.

``zuji.open(path)`` opens a project and returns an :class:`Engine`. Everything public is named in
``__all__``; names are loaded on first use, so that ``import zuji`` stays cheap (no NumPy yet).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zuji.engine.config import Config
    from zuji.engine.engine import Engine, Snapshot
    from zuji.engine.engine import open_project as open
    from zuji.engine.errors import (
        Corruption,
        InvalidEvent,
        InvalidQuery,
        NotFound,
        Overloaded,
        ProjectLocked,
        QueryBudgetExceeded,
        QueryCancelled,
        StorageFailed,
        StorageFull,
        UnsupportedFormat,
        ZujiError,
    )
    from zuji.engine.query.result import Result

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Corruption",
    "Engine",
    "InvalidEvent",
    "InvalidQuery",
    "NotFound",
    "Overloaded",
    "ProjectLocked",
    "QueryBudgetExceeded",
    "QueryCancelled",
    "Result",
    "Snapshot",
    "StorageFailed",
    "StorageFull",
    "UnsupportedFormat",
    "ZujiError",
    "__version__",
    "open",
]

_HOMES = {
    "Config": ("zuji.engine.config", "Config"),
    "Engine": ("zuji.engine.engine", "Engine"),
    "Snapshot": ("zuji.engine.engine", "Snapshot"),
    "open": ("zuji.engine.engine", "open_project"),
    "Result": ("zuji.engine.query.result", "Result"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'zuji' has no attribute {name!r}")
    import importlib

    module, attribute = _HOMES.get(name, ("zuji.engine.errors", name))
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
