"""Everything that can be set beyond a client's address, with the reasons for the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zuji_sdk import limits

if TYPE_CHECKING:
    import ssl

Full = Literal["drop_oldest", "block", "raise"]
Fsync = Literal["never", "batch", "always"]
Compression = Literal["gzip", "zstd", "none"]


@dataclass(frozen=True)
class Options:
    """Settings of a client. Wrong ones raise ``ValueError`` at once."""

    batch_events: int = 1000
    """Events in a batch, at most; 2,000 is what a collector takes."""
    batch_bytes: int = 512 * 1024
    """Bytes of a batch before compression, at most."""
    batch_seconds: float = 5.0
    """An event waits at most this long for others to travel with."""
    compression: Compression = "gzip"
    """``zstd`` needs the package ``zstandard`` (``pip install zuji-sdk[zstd]``)."""

    full: Full = "drop_oldest"
    """When the queue is full: give up its oldest batch, make callers wait, or raise QueueFull."""
    block_seconds: float | None = None
    """How long ``block`` waits before it raises QueueFull; None: as long as it takes."""
    max_memory_bytes: int = 16 << 20
    """Events held in memory: all of them without a folder, those the disk did not take with one."""
    max_disk_bytes: int = 256 << 20
    """Events in this process's part of the folder."""
    fsync: Fsync = "batch"
    """``never`` survives the death of the process, ``batch`` loses at most the last, unfinished
    batch when the machine dies, ``always`` nothing (and costs a disk flush for each event)."""

    invalid: Literal["raise", "drop"] = "raise"
    """What a wrong event does to its caller. Dropped ones are counted and given to on_error."""
    before_consent: Literal["discard", "hold"] = "discard"
    """Events from before consent is decided: forget them, or hold them in memory until it is."""
    held_events: int = 1000
    """How many of them are held; the oldest go first."""

    timeout_seconds: float = 30.0
    """For connecting and for each wait for the network."""
    retry_base_seconds: float = 1.0
    """The first retry waits a random part of this; each further one of twice as much."""
    retry_cap_seconds: float = 300.0
    """No retry waits for more than a random part of this."""
    retry_after_cap_seconds: float = 3600.0
    """A collector's Retry-After beyond this is taken as this."""
    adopt_seconds: float = 30.0
    """How often the folder is searched for queues of processes that died."""
    exit_seconds: float = 5.0
    """How long the end of the interpreter waits for the queue to empty."""

    ssl_context: ssl.SSLContext | None = None
    """For a bank's own authorities or client certificates; None: the system's defaults."""
    proxy: str | None = None
    """``http://host:port``. The environment's proxy variables are not read."""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("compression", ("gzip", "zstd", "none")),
            ("full", ("drop_oldest", "block", "raise")),
            ("fsync", ("never", "batch", "always")),
            ("invalid", ("raise", "drop")),
            ("before_consent", ("discard", "hold")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}")
        if not 1 <= self.batch_events <= limits.BATCH_EVENTS:
            raise ValueError(f"batch_events must be 1 to {limits.BATCH_EVENTS}")
        if not 1024 <= self.batch_bytes <= limits.BATCH_BYTES:
            raise ValueError(f"batch_bytes must be 1024 to {limits.BATCH_BYTES}")
        for name in ("max_memory_bytes", "max_disk_bytes"):
            # One batch travels, one fills, and one event of the largest size comes in.
            if getattr(self, name) < 2 * self.batch_bytes:
                raise ValueError(f"{name} must be at least twice batch_bytes")
        for name in ("batch_seconds", "retry_base_seconds", "retry_cap_seconds", "adopt_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if self.held_events < 1:
            raise ValueError("held_events must be at least 1")
