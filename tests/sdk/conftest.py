"""A live collector: `zuji serve` in a process of its own, and what it stored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import zuji

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "sdk" / "python"))
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("ZUJI_")},
    "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "sdk" / "python"))),
}


def zuji_command(*arguments):
    run = subprocess.run(
        [sys.executable, "-m", "zuji", *map(str, arguments)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


class Live:
    """One project `app`; the address stays the same when it is started again."""

    environment = ENVIRONMENT

    def __init__(self, data):
        self.data = data
        self.address = "127.0.0.1:0"
        self.process = None
        zuji.open(data, "app").close()
        self.key = zuji_command("key", "create", "--data", data, "--project", "app", "--write")

    @property
    def url(self):
        return f"http://{self.address}"

    def start(self):
        command = [sys.executable, "-m", "zuji", "serve", "--data", str(self.data)]
        self.process = subprocess.Popen(
            [*command, "--collect", self.address, "--api", "127.0.0.1:0"],
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
        )
        log = []
        for line in self.process.stderr:
            log.append(line)
            if line.startswith("zuji: events at "):
                self.address = line.split()[3].rstrip(",").removeprefix("http://")
            if " serving " in line:
                break
        else:
            raise AssertionError("".join(log))
        self._reader = threading.Thread(target=log.extend, args=(self.process.stderr,))
        self._reader.start()

    def stop(self, number=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(number)
        self.process.wait(20)
        self._reader.join()
        self.process.stderr.close()
        self.process = None

    def stored(self, first="2026-01-01", last="2026-12-31"):
        """Rows of what is stored, in the order of their time. Stops the collector."""
        self.stop()
        path = self.data.parent / "stored.parquet"
        path.unlink(missing_ok=True)
        place = ("--data", self.data, "--project", "app")
        zuji_command("export", path, *place, "--from", first, "--to", last)
        return pq.read_table(path).to_pylist()


def _running(folder):
    collector = Live(folder / "data")
    collector.start()
    yield collector
    collector.stop(signal.SIGKILL)


@pytest.fixture
def live(tmp_path):
    """A collector of its own: it may be killed."""
    yield from _running(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One for several tests, which tell their events apart by name; `live` takes seconds."""
    yield from _running(tmp_path_factory.mktemp("shared"))
