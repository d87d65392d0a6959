"""Protocols that the collector speaks, one file each.

:data:`PROTOCOLS` is all of it; ``docs/server.md`` has the table for people.
"""

from zuji.server.protocols.base import Protocol
from zuji.server.protocols.native import NATIVE

PROTOCOLS: tuple[Protocol, ...] = (NATIVE,)

__all__ = ["PROTOCOLS", "Protocol"]
