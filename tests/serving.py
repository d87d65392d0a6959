"""A live collector for tests: `zuji serve` in a process of its own, one project `app`, and what it
stored. Used by the tests of our SDKs and of others'.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import zuji
from tests import warm
from zuji.engine.export import read_events, read_profiles

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("ZUJI_")},
    "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "sdk" / "python"))),
}


def zuji_command(*arguments):
    """What the command `zuji` prints; it must succeed."""
    done = warm.run(arguments, env=ENVIRONMENT, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Live:
    """One project `app`; the address stays the same when it is started again. ``key``: may write.
    ``log``: lines of the server's standard error.
    """

    environment = ENVIRONMENT

    def __init__(self, data, *flags):
        self.data = data
        self.flags = flags
        self.address = "127.0.0.1:0"
        self.api = ""
        self.process = None
        self.log = []
        zuji.open(data, "app").close()
        self.key = zuji_command("key", "create", "--data", data, "--project", "app", "--write")

    @property
    def url(self):
        return f"http://{self.address}"

    def start(self):
        command = ["serve", "--data", self.data, *self.flags]
        self.process = warm.Started(
            [*command, "--collect", self.address, "--api", "127.0.0.1:0"],
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
        )
        for line in self.process.stderr:
            self.log.append(line)
            if line.startswith("zuji: events at "):
                self.address = line.split()[3].rstrip(",").removeprefix("http://")
            if line.startswith("zuji: queries at "):
                self.api = line.split()[3].rstrip(",")
            if " serving " in line:
                break
        else:
            raise AssertionError("".join(self.log))
        self._reader = threading.Thread(target=self.log.extend, args=(self.process.stderr,))
        self._reader.start()

    def stop(self, number=signal.SIGTERM):
        """Ends the server; nothing when it does not run."""
        if self.process is None:
            return
        self.process.send_signal(number)
        self.process.wait(20)
        self._reader.join()
        self.process.stderr.close()
        self.process = None

    def metric(self, name, **labels):
        """Sum of the running server's metric ``name`` over the series that have these labels."""
        with urllib.request.urlopen(f"{self.api}/metrics", timeout=10) as answer:
            page = answer.read().decode()
        total = 0.0
        for line in page.splitlines():
            found = re.fullmatch(rf"{re.escape(name)}(?:{{(.*)}})? (\S+)", line)
            if found and all(f'{k}="{v}"' in (found[1] or "") for k, v in labels.items()):
                total += float(found[2])
        return total

    def wait_for(self, count, protocol, seconds=60):
        """Waits until ``count`` events and profile records of this protocol came."""
        until = time.monotonic() + seconds
        while (seen := self.metric("zuji_events_total", protocol=protocol)) < count:
            assert time.monotonic() < until, f"{seen} of {count} events; log: {self.log[-5:]}"
            time.sleep(0.05)

    def stored(self, first="2026-01-01", last="2026-12-31"):
        """Rows of what is stored, as `zuji export` writes them. Stops the server."""
        import pyarrow.parquet as pq

        self.stop()
        path = self.data.parent / "stored.parquet"
        path.unlink(missing_ok=True)
        place = ("--data", self.data, "--project", "app")
        zuji_command("export", path, *place, "--from", first, "--to", last)
        return pq.read_table(path).to_pylist()

    def events(self, event=None):
        """Every stored event as a mapping of the columns that have a value, in the order of time.
        Columns: event, time (datetime, UTC), user_id, device_id, properties. Stops the server.
        """
        self.stop()
        names = None if event is None else [event]
        with zuji.open(self.data, "app", mode="r") as engine:
            tables = list(read_events(engine, names))
        rows = [_present(row) for table in tables for row in table.to_pylist()]
        return sorted(rows, key=lambda row: row["time"])

    def profiles(self):
        """Properties of every user, by ``user_id`` (by ``device_id`` where there is none). Stops
        the server.
        """
        self.stop()
        with zuji.open(self.data, "app", mode="r") as engine:
            rows = [_present(row) for table in read_profiles(engine) for row in table.to_pylist()]
        found = {}
        for row in rows:
            device, user = row.pop("device_id", None), row.pop("user_id", None)
            found[user if user is not None else device] = row
        return found

    def quarantined(self):
        """What is in the quarantine: mappings with reason, path, message and event. Stops the
        server.
        """
        self.stop()
        with zuji.open(self.data, "app", mode="r") as engine:
            return list(engine.rejected())

    def items(self, item_type):
        """Properties of the items of a type, by id. Stops the server."""
        self.stop()
        with zuji.open(self.data, "app", mode="r") as engine:
            return dict(engine.items.all(item_type))


def _present(row):
    return {name: value for name, value in row.items() if value is not None}


def running(folder, *flags):
    """Yields a running server whose data are in ``folder``, for fixtures."""
    server = Live(folder / "data", *flags)
    server.start()
    yield server
    server.stop(signal.SIGKILL)
