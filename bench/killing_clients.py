"""One SDK as its users run it, in a process of its own: ``python -m bench.killing_clients SDK …``.

Tracks an event with the next number ``n`` every few milliseconds until a line comes on standard
input, then sends what waits. Writes to ``--told`` what the SDK said of each: ``+n`` it has it (it
is queued, or it was sent and nothing was complained of), ``-n`` it gave it up. The SDKs are as
published; only their documented options and callbacks are used.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAUSE_S = 0.02
FLUSH_S = 200.0


class Told:
    """What the SDK said, as lines of a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1)
        self._lock = threading.Lock()

    def has(self, n: int) -> None:
        """The SDK answers for event ``n``."""
        with self._lock:
            self._file.write(f"+{n}\n")

    def gave_up(self, numbers: Iterable[int]) -> None:
        """It said that it lost these."""
        with self._lock:
            self._file.writelines(f"-{n}\n" for n in numbers)


def _until_told(step: Callable[[int], None]) -> None:
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    n = 0
    while not ended.wait(PAUSE_S):
        step(n)
        n += 1


def zuji(url: str, key: str, folder: Path, told: Told) -> None:
    """Ours, with its disk queue."""
    from zuji_sdk import Client, Options

    options = Options(batch_seconds=0.05, retry_base_seconds=0.02, retry_cap_seconds=0.3)
    with Client(
        url,
        key,
        consent=True,
        queue_dir=str(folder / "queue"),
        options=options,
        on_error=lambda _error: None,
    ) as client:

        def step(n: int) -> None:
            client.track("killed", {"n": n, "sdk": "zuji"}, user_id=f"u{n % 50}")
            told.has(n)

        _until_told(step)
        if not client.flush(FLUSH_S):
            sys.exit(f"zuji: {client.stats}")


def posthog(url: str, key: str, _folder: Path, told: Told) -> None:
    """PostHog's: ``on_error`` has the batch that it gives up."""
    from posthog import Posthog

    def failed(_error: Any, batch: Any) -> None:
        told.gave_up(one["properties"]["n"] for one in batch or ())

    client = Posthog(
        key, host=url, on_error=failed, flush_at=20, flush_interval=0.2, max_retries=30
    )

    def step(n: int) -> None:
        properties = {"n": n, "sdk": "posthog"}
        if client.capture("killed", distinct_id=f"u{n % 50}", properties=properties):
            told.has(n)

    _until_told(step)
    client.flush(FLUSH_S)
    client.shutdown()


def segment(url: str, key: str, _folder: Path, told: Told) -> None:
    """Segment's: the same."""
    from segment.analytics.client import Client

    def failed(_error: Any, batch: Any) -> None:
        told.gave_up(one["properties"]["n"] for one in batch or ())

    client = Client(
        key, host=url, on_error=failed, upload_size=20, upload_interval=0.2, max_retries=30
    )

    def step(n: int) -> None:
        properties = {"n": n, "sdk": "segment"}
        queued, _ = client.track(user_id=f"u{n % 50}", event="killed", properties=properties)
        if queued:  # its queue holds 10,000: what comes while it is full, it drops and says so
            told.has(n)

    _until_told(step)
    client.flush()
    client.join()


def amplitude(url: str, key: str, _folder: Path, told: Told) -> None:
    """Amplitude's: a callback says of each event whether it was taken."""
    from amplitude import Amplitude, BaseEvent, Config

    left: set[int] = set()

    def answered(event: Any, code: int, _message: str | None = None) -> None:
        n = event.event_properties["n"]
        left.discard(n)
        if code == 200:
            told.has(n)
        else:
            told.gave_up([n])

    client = Amplitude(
        key,
        Config(
            server_url=f"{url}/2/httpapi",
            flush_interval_millis=200,
            flush_queue_size=20,
            flush_max_retries=30,
            callback=answered,
        ),
    )

    def step(n: int) -> None:
        left.add(n)
        client.track(
            BaseEvent("killed", user_id=f"u{n % 50}", event_properties={"n": n, "sdk": "amplitude"})
        )

    _until_told(step)
    until = time.monotonic() + FLUSH_S
    while left and time.monotonic() < until:
        client.flush()
        time.sleep(0.3)
    client.shutdown()


SDKS: dict[str, Callable[[str, str, Path, Told], None]] = {
    "zuji": zuji,
    "posthog": posthog,
    "segment": segment,
    "amplitude": amplitude,
}


def main() -> None:
    """Runs the SDK that the command line names."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("sdk", choices=SDKS)
    words.add_argument("--url", required=True)
    words.add_argument("--key", required=True)
    words.add_argument("--folder", type=Path, required=True)
    words.add_argument("--told", type=Path, required=True)
    options = words.parse_args()
    logging.basicConfig(  # what is kept of a round that went wrong
        level=logging.DEBUG, format="%(asctime)s.%(msecs)03d %(name)s %(message).160s"
    )
    SDKS[options.sdk](options.url, options.key, options.folder, Told(options.told))


if __name__ == "__main__":
    main()
