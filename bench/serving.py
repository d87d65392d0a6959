"""A ``zuji serve`` process for benchmarks that attack, kill or soak it, and its place and keys."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import zuji

ROOT = Path(__file__).parents[1]
START_S = 60.0
PORTS = (12_000, 30_000)
"""Below those of outgoing connections and of port 0 (ip_local_port_range)."""


def environment() -> dict[str, str]:
    """For child processes: the package and our SDK, and no settings of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZUJI_")}
    paths = (str(ROOT / "src"), str(ROOT), str(ROOT / "sdk" / "python"))
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


def command(*words: object) -> str:
    """What a ``zuji`` command prints.

    Raises:
        RuntimeError: it failed.
    """
    call = [sys.executable, "-m", "zuji", *map(str, words)]
    done = subprocess.run(call, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"zuji {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout.strip()


def _free_port() -> int:
    """One that the system gives to nobody by itself: while the server is down, no other may come
    there and answer in its place.
    """
    while True:
        port = random.randrange(*PORTS)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


class Server:
    """A project ``app`` and its server, which may be killed and started again at the same address.

    ``settings``: as ``name=value``.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.settings = settings
        zuji.open(self.data, "app").close()
        place = ("--data", self.data, "--project", "app")
        self.key = command("key", "create", *place, "--write")
        self.read_key = command("key", "create", *place, "--read")
        self.port, self.api_port = _free_port(), _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "serve.log"

    @property
    def url(self) -> str:
        """Of the collector."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        """Of the queries."""
        return f"http://127.0.0.1:{self.api_port}"

    def spawn(self) -> None:
        """Starts the process and does not wait."""
        flags = [word for setting in self.settings for word in ("--set", setting)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "zuji", "serve", "--data", str(self.data), *flags),
                    *("--collect", f"127.0.0.1:{self.port}"),
                    *("--api", f"127.0.0.1:{self.api_port}"),
                ],
                env=environment(),
                stdout=log,
                stderr=log,
            )

    def wait_ready(self) -> None:
        """Returns when it serves.

        Raises:
            RuntimeError: it ended, or takes too long; with its log.
        """
        until = time.monotonic() + START_S
        while b" serving " not in self._log.read_bytes():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server did not start: {self.log()}")
            time.sleep(0.02)

    def start(self) -> None:
        """Starts the process and waits until it serves."""
        self.spawn()
        self.wait_ready()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends the process by a signal; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(60)
        self.process = None
        return status

    def log(self) -> str:
        """The last lines that it wrote."""
        return self._log.read_text(errors="replace")[-4000:]

    def status(self) -> dict[str, Any]:
        """What ``zuji status`` says of the project. REQUIRES: the server is stopped."""
        place = ("--data", self.data, "--project", "app")
        found: dict[str, Any] = json.loads(command("status", *place, "-f", "json"))
        return found

    def export(self, path: Path, first: str = "2026-01-01", last: str = "2027-12-31") -> None:
        """Writes what is stored as Parquet. REQUIRES: the server is stopped."""
        place = ("--data", self.data, "--project", "app")
        command("export", path, *place, "--from", first, "--to", last)
