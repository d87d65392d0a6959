"""What SDKs send, one file a family: where, with which key, what it means, what they get back.

:data:`PROTOCOLS` is all of it; ``docs/server.md`` has the table for people.
"""

from zuji.server.protocols.base import Protocol
from zuji.server.protocols.native import NATIVE

PROTOCOLS: tuple[Protocol, ...] = (NATIVE,)

__all__ = ["PROTOCOLS", "Protocol"]
