"""The thread that sends: one batch at a time, the oldest first, each until its fate is known.

    200                   stored durably: forget the batch
    400                   unreadable: give it up
    401, 403              wrong key: keep all, stop until `reconfigure` or a restart
    413                   send its halves; a single event is given up
    everything else, and no answer       keep it, back off, send the same bytes again

A 200 that does not carry a collector's answer (a proxy's page) is no success either.
The thread starts with the first event, is a daemon, and outlives unexpected errors.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Callable

import msgpack

from zuji_sdk import batch as bodies
from zuji_sdk.backoff import Backoff, retry_after_seconds
from zuji_sdk.errors import DeliveryError, InvalidEvent, StorageError, ZujiError
from zuji_sdk.transport import Unwanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji_sdk.disk import DiskBatch
    from zuji_sdk.options import Options
    from zuji_sdk.queue import Queue
    from zuji_sdk.store import Batch
    from zuji_sdk.transport import Reply, Transport

_log = logging.getLogger(__name__)


class Sender:
    """Empties a queue. Thread-safe."""

    def __init__(
        self,
        queue: Queue,
        transport: Transport,
        options: Options,
        report: Callable[[ZujiError], object],
    ) -> None:
        self._queue, self._options, self._report = queue, options, report
        self._transport = transport
        self.begin()

    def begin(self) -> None:
        """Without a thread: at first, and in a forked child."""
        options = self._options
        self._thread: threading.Thread | None = None
        self._backoff = Backoff(
            options.retry_base_seconds, options.retry_cap_seconds, options.retry_after_cap_seconds
        )
        self._next_adoption = 0.0
        self._packed: tuple[Batch, Sequence[bytes], bytes, str | None] | None = None

    def start(self) -> None:
        """Make sure that the thread runs."""
        if self._thread is not None:
            return
        with self._queue.changed:
            if self._thread is None and not self._queue.stopping:
                thread = threading.Thread(target=self._run, name="zuji-sdk", daemon=True)
                thread.start()
                self._thread = thread

    def reconfigure(self, transport: Transport) -> None:
        """Send to another address, or with another key, from the next request on."""
        with self._queue.changed:
            self._transport = transport
            self._backoff.reset()
        self._queue.halt(False)

    def stop(self) -> None:
        """End the thread; a request that has no answer is cut off."""
        self._queue.stop()
        self._transport.abort()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def forget(self) -> None:
        """Consent was withdrawn: cut off what is being sent, keep no copy."""
        self._transport.abort()
        self._packed = None

    def abandon(self) -> None:
        """In a forked child: close its copy of the connection, begin anew."""
        self.begin()
        self._transport.abandon()

    def _run(self) -> None:
        queue = self._queue
        transport = self._transport
        while not queue.stopping:
            try:
                self._adopt()
                batch = queue.take(self._next_adoption)
                if batch is None:
                    continue
                if transport is not self._transport:
                    transport.close()
                    transport = self._transport
                try:
                    self._send(batch, transport)
                finally:
                    queue.release()
            except Exception as error:
                # A fault of ours must not end sending for good; it is told, and tried again later.
                _log.exception("unexpected error while sending")
                self._report(StorageError(f"unexpected: {error!r}"))
                self._back_off(None)
        transport.close()

    def _adopt(self) -> None:
        queue = self._queue
        disk = queue.disk
        if disk is None:
            self._next_adoption = float("inf")
            return
        now = time.monotonic()
        if not queue.sending or (queue.adopted and now < self._next_adoption):
            self._next_adoption = max(self._next_adoption, now + 1.0)
            return
        self._next_adoption = now + self._options.adopt_seconds
        purges = queue.purges
        found: list[DiskBatch] = []
        try:
            disk.adopt(found)
        except OSError as error:
            self._report(StorageError(f"cannot adopt batches: {error}"))
        finally:
            queue.add(found, purges)

    def _send(self, batch: Batch, transport: Transport) -> None:
        queue = self._queue
        packed = self._packed
        if packed is None or packed[0] is not batch:
            try:
                events = batch.load()
            except OSError as error:
                self._give_up_damaged(batch, batch.events, str(error))
                return
            if len(events) < batch.events:
                self._give_up_damaged(batch, batch.events - len(events), "torn", keep=bool(events))
                if not events:
                    return
            body, encoding = bodies.compress(
                bodies.body(batch.batch_id, events), self._options.compression
            )
            packed = self._packed = (batch, events, body, encoding)
        if queue.disk is not None:
            try:
                queue.disk.sync()
            except OSError as error:
                _log.warning("cannot sync error=%s", error)
        _, events, body, encoding = packed
        try:
            reply = transport.post(body, encoding, lambda: queue.check_wanted(batch))
        except Unwanted:
            self._packed = None
            return
        except (OSError, http.client.HTTPException) as error:
            if not queue.stopping:
                self._retry(batch, "network", f"no answer: {error!r}", None, None)
            return
        self._answered(batch, events, reply)

    def _answered(self, batch: Batch, events: Sequence[bytes], reply: Reply) -> None:
        queue, status = self._queue, reply.status
        answer = _json(reply.body)
        if status == 200 and isinstance(answer.get("accepted"), int):
            self._delivered(batch, events, answer)
            return
        error = answer.get("error")
        error = error if isinstance(error, dict) else {}
        code = str(error.get("code") or f"http_{status}")
        message = str(error.get("message") or "no reason was given")
        if status == 400:
            if queue.remove(batch):
                queue.stats.dropped_refused += len(events)
                self._lost(batch, code, message, status)
        elif status in (401, 403):
            queue.halt(True)
            self._report(
                DeliveryError(code, message, status=status, events=batch.events, lost=False)
            )
        elif status == 413:
            self._too_large(batch, events, code, message)
        else:
            if status == 200:
                code, message = "not_an_answer", "200 without a collector's answer"
            retry_after = retry_after_seconds(reply.retry_after)
            self._retry(batch, code, message, status, retry_after)

    def _delivered(self, batch: Batch, events: Sequence[bytes], answer: dict[str, Any]) -> None:
        queue = self._queue
        self._packed = None
        self._backoff.reset()
        queue.not_before = 0.0
        rejected = [one for one in _list(answer.get("rejected")) if isinstance(one, dict)]
        with queue.changed:
            stats = queue.stats
            stats.batches += 1
            stats.accepted += answer["accepted"]
            duplicates = answer.get("duplicates")
            stats.duplicates += duplicates if isinstance(duplicates, int) else 0
            stats.rejected += len(rejected)
            queue.remove(batch)
        for one in rejected:
            index = one.get("index")
            known = isinstance(index, int) and 0 <= index < len(events)
            self._report(
                InvalidEvent(
                    str(one.get("code")),
                    str(one.get("path") or ""),
                    str(one.get("message")),
                    msgpack.unpackb(events[index]) if known and index is not None else None,
                )
            )

    def _too_large(self, batch: Batch, events: Sequence[bytes], code: str, message: str) -> None:
        queue = self._queue
        self._packed = None
        if len(events) > 1:
            try:
                if queue.split(batch):
                    queue.stats.splits += 1
            except OSError as error:
                self._report(StorageError(f"cannot split a batch: {error}"))
                self._back_off(None)
        elif queue.remove(batch):
            queue.stats.dropped_too_large += 1
            self._lost(batch, code, message, 413)

    def _give_up_damaged(
        self, batch: Batch, events: int, reason: str, *, keep: bool = False
    ) -> None:
        if not keep and not self._queue.remove(batch):
            return  # purged or pushed out between being taken and being read
        self._queue.stats.dropped_damaged += events
        self._report(StorageError(f"{events} events of a batch cannot be read: {reason}"))

    def _lost(self, batch: Batch, code: str, message: str, status: int) -> None:
        self._packed = None
        self._report(DeliveryError(code, message, status=status, events=batch.events, lost=True))

    def _retry(
        self,
        batch: Batch,
        code: str,
        message: str,
        status: int | None,
        retry_after: float | None,
    ) -> None:
        if not self._queue.holds(batch):
            self._packed = None
            return
        self._queue.stats.retries += 1
        wait = self._back_off(retry_after)
        _log.info("retry in=%.3fs status=%s code=%s", wait, status, code)
        self._report(DeliveryError(code, message, status=status, events=batch.events, lost=False))

    def _back_off(self, retry_after: float | None) -> float:
        wait = self._backoff.next(retry_after)
        with self._queue.changed:
            self._queue.not_before = time.monotonic() + wait
        return wait


def _json(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        answer = json.loads(body)
        if isinstance(answer, dict):
            return answer
    return {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
