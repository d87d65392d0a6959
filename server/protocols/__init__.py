"""Protocols that the collector speaks, one file each.

:data:`PROTOCOLS` is all of it; ``docs/server.md`` has the table for people.
"""

from zuji.server.protocols.amplitude import AMPLITUDE
from zuji.server.protocols.base import Protocol
from zuji.server.protocols.mixpanel import MIXPANEL
from zuji.server.protocols.native import NATIVE
from zuji.server.protocols.posthog import POSTHOG
from zuji.server.protocols.segment import SEGMENT
from zuji.server.protocols.sensors import SENSORS
from zuji.server.protocols.shared_paths import BATCH
from zuji.server.protocols.snowplow import SNOWPLOW

PROTOCOLS: tuple[Protocol, ...] = (
    *(NATIVE, SENSORS),
    *(MIXPANEL, AMPLITUDE, SNOWPLOW, POSTHOG, SEGMENT, BATCH),
)

__all__ = ["PROTOCOLS", "Protocol"]
