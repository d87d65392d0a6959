"""What a server knows beside events: keys now, plans, tags and campaigns to come."""

from zuji.server.meta.store import Store, open_store

__all__ = ["Store", "open_store"]
