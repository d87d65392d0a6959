"""Power cuts on a real file system: ext4 in a loop device, shut down while clients write.

``python -m tests.crash.power --cycles 200 [--seed 1]`` (as root; Linux with loop devices)

``EXT4_IOC_SHUTDOWN`` stops the file system at once, as losing power does: what was not synced is
gone, with flag 2 the journal not yet written too. The device is then mounted again (the journal is
replayed) and everything is checked as in ``tests.crash.killer``: nothing acknowledged is lost,
nothing is there twice. What was acknowledged while the shutdown ran counts neither way: a sync that
waits for the journal when it is aborted may return success (seen on Linux 6.18), which no program
that has lost its power could tell anybody.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from tests.crash.killer import (
    CLIENTS,
    CYCLES_A_PROJECT,
    MAX_ACKS,
    Figures,
    check,
    first_unacked,
    work,
)
from tests.crash.process import Child, apart, pause
from tests.crash.scenario import CONCURRENT, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

EXT4_IOC_SHUTDOWN = 0x8004587D
FLUSH_LOG, DROP_LOG = 1, 2
IMAGE_BYTES = 256 << 20


def available() -> bool:
    """Whether this machine lets us mount a loop device."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as path:
        try:
            with _mounted(path, _made(path)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def loop(path: str, cycles: int, seed: int, *, say=lambda _text: None) -> Figures:
    """Cut the power ``cycles`` times. Raises AssertionError when a promise is broken."""
    rng = random.Random(seed)
    figures = Figures()
    image, acked, next_of, next_table = "", set(), [], 1
    for cycle in range(cycles):
        if cycle % CYCLES_A_PROJECT == 0:
            image, acked, next_table = _made(path), set(), 1
            next_of = [CONCURRENT + k for k in range(CLIENTS)]
        with _mounted(path, image) as root:
            seeds = rng.randrange(2**32)
            child = Child(
                lambda ack, s=seeds, r=root, n=next_of, t=next_table: work(r, s, n, t, ack)
            )
            child.hear(rng.randrange(1, MAX_ACKS))
            pause(rng.random() * 0.01)
            heard = child.heard()
            _cut(root, rng.choice((FLUSH_LOG, DROP_LOG)))
            pause(0.02)  # clients go on writing to a dead disk
            child.kill()
            maybe = frozenset(child.end(killed=None, failed=True)) - heard
        acked |= heard
        figures.acked += len(heard)
        with _mounted(path, image) as root:
            try:
                batches, tables, seconds = apart(lambda r=root, a=acked, m=maybe: check(r, a, m))
            except AssertionError as error:
                raise AssertionError(f"cycle {cycle} of seed {seed}: {error}") from None
        figures.unacked_kept += len(batches | {TABLE + n for n in tables}) - len(acked)
        figures.recoveries_s.append(seconds)
        figures.cycles += 1
        next_of = [first_unacked(acked, k) for k in range(CLIENTS)]
        next_table = max(tables, default=0) + 1
        acked |= {TABLE + n for n in tables}
        if cycle % 10 == 9:
            say(figures.line())
    return figures


def _made(path: str) -> str:
    image = os.path.join(path, "disk.img")
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    return image


@contextlib.contextmanager
def _mounted(path: str, image: str) -> Iterator[str]:
    point = os.path.join(path, "mnt")
    os.makedirs(point, exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True, capture_output=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True, capture_output=True)


def _cut(point: str, flag: int) -> None:
    fd = os.open(point, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("<I", flag))
    finally:
        os.close(fd)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.power", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    if not available():
        print("needs root, ext4 and loop devices")
        return 2
    print(f"seed={arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="zuji-power-") as path:
        figures = loop(path, arguments.cycles, arguments.seed, say=lambda t: print(t, flush=True))
    print(figures.line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
