"""What one run cost the process that ran it: time, CPU, bytes read, peak memory. Linux only."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """One timed run."""

    seconds: float
    cpu_seconds: float
    """User and system time of all threads of the process."""
    disk_bytes: int
    """Bytes that came from the disk, not from the page cache."""
    scanned_bytes: int | None
    """Bytes that the engine itself says it has read, where it says so."""
    peak_bytes: int
    """Highest resident memory during the run; 0 where the kernel does not tell."""
    answer: list[Any]


def timed(run: Callable[[], tuple[list[Any], int | None]]) -> Run:
    """Runs a form once."""
    _forget_peak()
    disk = io_bytes()["read_bytes"]
    cpu = cpu_seconds()
    began = time.perf_counter()
    answer, scanned = run()
    seconds = time.perf_counter() - began
    return Run(
        seconds=seconds,
        cpu_seconds=cpu_seconds() - cpu,
        disk_bytes=io_bytes()["read_bytes"] - disk,
        scanned_bytes=scanned,
        peak_bytes=peak_rss_bytes(),
        answer=answer,
    )


def cpu_seconds() -> float:
    """User and system seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def io_bytes() -> dict[str, int]:
    """Counters of /proc/self/io; zeros where it may not be read."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return {"read_bytes": 0, "write_bytes": 0, "rchar": 0, "wchar": 0}
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}


def peak_rss_bytes() -> int:
    """High-water mark of this process's resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def disk_bytes(path: Path) -> int:
    """Bytes of all files under ``path``, or of the file."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def drop_cached(path: Path) -> None:
    """Asks the kernel to drop the cached pages of the files under ``path``, of no others."""
    os.sync()
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def need_disk(path: Path, wanted: float, what: str) -> None:
    """Stops before anything is written when the disk is too small.

    Raises:
        SystemExit: with what is needed and what is there.
    """
    import shutil

    free = shutil.disk_usage(path).free
    if free < wanted:
        raise SystemExit(
            f"bench: {what} needs about {wanted / 1e9:.1f} GB in {path}, {free / 1e9:.1f} GB are "
            "free; choose another folder with --out or fewer rows with --rows"
        )
