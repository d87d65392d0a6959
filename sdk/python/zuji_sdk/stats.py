"""What became of the events, counted. A forked child counts from zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Stats:
    """Events, unless a name says otherwise."""

    queued: int = 0
    """Waiting now."""
    queued_bytes: int = 0
    accepted: int = 0
    """Stored by the collector, durably."""
    duplicates: int = 0
    """The collector had them already: a retry of a batch whose answer was lost."""
    rejected: int = 0
    """Refused one by one by the collector, which keeps them in its quarantine."""
    adopted: int = 0
    """Taken over from processes that died."""
    invalid: int = 0
    """Refused by this client before they were queued."""
    dropped_full: int = 0
    """Given up, or not taken, because the queue was full."""
    dropped_refused: int = 0
    """In batches that the collector called unreadable."""
    dropped_too_large: int = 0
    """Too large even alone."""
    dropped_damaged: int = 0
    """In files that could not be read back."""
    dropped_at_close: int = 0
    """Still in memory when the client was closed."""
    discarded: int = 0
    """Not taken, or given up while held, for want of consent."""
    purged: int = 0
    """Deleted when consent was withdrawn."""
    batches: int = 0
    """Batches that were answered with success."""
    retries: int = 0
    """Attempts that must be repeated."""
    splits: int = 0
    """Batches that were halved."""
    disk_errors: int = 0
    """Times that the folder could not be written."""
