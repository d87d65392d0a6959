"""Who may send and who may ask: keys of projects."""

from zuji.server.auth.keys import (
    Key,
    KeyRing,
    Kind,
    bearer,
    list_keys,
    make_key,
    revoke_key,
)

__all__ = ["Key", "KeyRing", "Kind", "bearer", "list_keys", "make_key", "revoke_key"]
