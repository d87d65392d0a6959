"""``python -m bench.open_loop``: requests at a constant rate, whatever the server does.

Latency is counted from the moment at which a request should have been sent, so a server that stops
for a second is blamed for all that would have come in that second. Times are 1 % wide. The client
is ``open_loop.c``, compiled here when it is asked for: one in Python needs a core for 25,000
requests a second, and then measures itself. How late it was itself, for want of a core, is told as
``own_p99_ms``: what a latency below that says is nothing about the server. It prints JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_suffix(".c")


def compiled(folder: Path) -> Path:
    """The client, made in a folder unless it is there and newer than its source."""
    made = folder / "open_loop"
    if not made.exists() or made.stat().st_mtime < SOURCE.stat().st_mtime:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise SystemExit("bench: no C compiler: apt-get install gcc libc6-dev")
        subprocess.run([compiler, "-O2", "-o", str(made), str(SOURCE), "-lm"], check=True)
    return made


def run(
    client: Path, requests: list[Path], address: str, rate: float, seconds: float, connections: int
) -> dict[str, Any]:
    """Sends requests (files with their bytes) in turn, and waits 10 s at most for what is due.

    ``address``: of IPv4, host:port. Percentiles of latencies in ms; ``unanswered``: no answer came,
    or the connection ended.
    """
    host, _, port = address.rpartition(":")
    asked = [str(client), host, port, str(rate), str(seconds), str(connections)]
    done = subprocess.run([*asked, *map(str, requests)], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.open_loop", description=__doc__)
    parser.add_argument("folder", type=Path, help="requests, as they go over the wire: *.raw")
    parser.add_argument("--address", required=True, help="host:port")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=256)
    args = parser.parse_args()
    client, requests = compiled(args.folder.parent), sorted(args.folder.glob("*.raw"))
    print(
        json.dumps(run(client, requests, args.address, args.rate, args.seconds, args.connections))
    )


if __name__ == "__main__":
    main()
