"""The client: what an application calls. See README.md.

Thread-safe. A forked child begins with an empty queue, a connection and a part of the folder of
its own, and the parent's consent.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable

from zuji_sdk import batch, event, lock
from zuji_sdk._version import __version__
from zuji_sdk.errors import DeliveryError, InvalidEvent, QueueFull, ZujiError
from zuji_sdk.options import Options
from zuji_sdk.queue import Queue
from zuji_sdk.sender import Sender
from zuji_sdk.transport import Transport

if TYPE_CHECKING:
    from types import TracebackType

    from zuji_sdk.event import Id, Properties, Record, Time
    from zuji_sdk.queue import Flush
    from zuji_sdk.stats import Stats

_log = logging.getLogger(__name__)
_LIBRARY = {"$lib": "python", "$lib_version": __version__}


class Client:
    """Sends events to one project of one collector.

    `url` is the collector's address without `/v1/events`, `key` a write key. `consent`: True lets
    events through; None, not decided yet; False, refused. `queue_dir`: a folder for events that
    outlive the process; one folder a project. `properties` go with every tracked event.
    `on_error` gets every error that no caller sees, mostly in the sending thread.

    Raises ValueError for wrong settings, ImportError when `compression` needs a missing package.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        consent: bool | None = None,
        queue_dir: str | None = None,
        properties: Properties | None = None,
        on_error: Callable[[ZujiError], object] | None = None,
        options: Options | None = None,
    ) -> None:
        self._options = options or Options()
        batch.check_compression(self._options.compression)
        self._url, self._key = url, key
        self._properties = {**_LIBRARY, **(properties or {})}
        self._on_error = on_error
        folder = None if queue_dir is None else os.path.abspath(queue_dir)
        transport = self._connect()
        self._queue = Queue(self._options, folder, consent, self._report)
        self._sender = Sender(self._queue, transport, self._options, self._report)
        _live.add(self)
        if consent is False:
            self.set_consent(False)
        elif consent and folder is not None:
            self._sender.start()  # there may be events of an earlier process

    # Records.

    def track(
        self,
        event_name: str,
        properties: Properties | None = None,
        *,
        user_id: Id | None = None,
        device_id: Id | None = None,
        time: Time | None = None,
        insert_id: Id | None = None,
    ) -> None:
        """Something happened. `time`: a datetime with its zone, or milliseconds; None is now.

        Returns when the event is queued (with a folder: on disk, as `Options.fsync` says). Raises
        InvalidEvent and QueueFull, as the options say, and Closed.
        """
        if self._properties and (properties is None or isinstance(properties, Mapping)):
            properties = {**self._properties, **(properties or {})}
        self._put(lambda: event.track(event_name, properties, user_id, device_id, time, insert_id))

    def profile_set(
        self,
        properties: Properties,
        *,
        user_id: Id | None = None,
        device_id: Id | None = None,
        time: Time | None = None,
        insert_id: Id | None = None,
    ) -> None:
        """Set properties of the user; None removes one. Otherwise as `track`."""
        self._put(lambda: event.profile_set(properties, user_id, device_id, time, insert_id))

    def profile_unset(
        self,
        names: Iterable[str],
        *,
        user_id: Id | None = None,
        device_id: Id | None = None,
        time: Time | None = None,
        insert_id: Id | None = None,
    ) -> None:
        """Remove properties of the user. Otherwise as `track`."""
        self._put(lambda: event.profile_unset(names, user_id, device_id, time, insert_id))

    def record(
        self,
        type_: str,
        fields: Mapping[str, Any],
        *,
        user_id: Id | None = None,
        device_id: Id | None = None,
        time: Time | None = None,
        insert_id: Id | None = None,
    ) -> None:
        """A record of a type that the collector knows and this version has no method for.

        `fields` go out as they are, beside `type`, `time` and the ids.
        """
        self._put(lambda: event.other(type_, fields, user_id, device_id, time, insert_id))

    # Consent.

    @property
    def consent(self) -> bool | None:
        """What `set_consent` was told last."""
        return self._queue.consent

    def set_consent(self, consent: bool | None) -> None:
        """True lets events through. False deletes everything queued, in memory and on disk, also
        what dead processes left (living ones have clients of their own to tell), cuts off a
        request on its way, and discards what comes. None keeps what is queued, unsent.

        Raises StorageError when files cannot be deleted.
        """
        try:
            self._queue.set_consent(consent)
        except QueueFull as error:  # of events held in memory until now: no caller to tell
            self._report(error)
        finally:
            if consent is False:
                self._sender.forget()
        if consent:
            self._sender.start()

    # Sending.

    def flush(self, timeout: float | None = None) -> bool:
        """Send everything queued until now and wait until its fate is known, at most `timeout`
        seconds. True when nothing of it is left; False also, at once, when it cannot be sent: no
        consent, a wrong key, closed."""
        done = threading.Event()
        outcome: list[bool] = []

        def settle(gone: bool) -> None:
            outcome.append(gone)
            done.set()

        waiting = self._begin_flush(settle)
        if not done.wait(timeout):
            self._queue.forget(waiting)
        return bool(outcome) and outcome[0]

    def _begin_flush(self, done: Callable[[bool], object]) -> Flush:
        if self._queue.sending:
            self._sender.start()
        return self._queue.flush(done)

    def reconfigure(self, *, url: str | None = None, key: str | None = None) -> None:
        """Send to another address or with another key, also what is queued; go on after a refusal
        of the key. Raises ValueError."""
        before = self._url, self._key
        self._url, self._key = url or self._url, key or self._key
        try:
            transport = self._connect()
        except ValueError:
            self._url, self._key = before
            raise
        self._sender.reconfigure(transport)

    def close(self, timeout: float | None = 5.0) -> bool:
        """Flush, then stop. Afterwards calls raise Closed. What could not be sent stays in the
        folder for the next process, or is lost (and counted) without one. True: nothing is left.
        """
        if self._queue.stopping:
            return True
        gone = self.flush(timeout)
        self._sender.stop()
        lost = self._queue.close()
        _live.discard(self)
        if lost:
            self._report(
                DeliveryError("closed", "not sent in time", status=None, events=lost, lost=True)
            )
        return gone

    @property
    def stats(self) -> Stats:
        """What became of the events until now."""
        return self._queue.snapshot()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Inside.

    def _put(self, build: Callable[[], Record]) -> None:
        try:
            record = build()
        except InvalidEvent as error:
            with self._queue.changed:
                self._queue.stats.invalid += 1
            if self._options.invalid == "raise":
                raise
            self._report(error)
            return
        self._queue.put(record)
        if self._queue.sending:
            self._sender.start()

    def _connect(self) -> Transport:
        options = self._options
        return Transport(
            self._url,
            self._key,
            f"zuji-sdk-python/{__version__}",
            options.timeout_seconds,
            options.ssl_context,
            options.proxy,
        )

    def _report(self, error: ZujiError) -> None:
        """Tell the application; its faults are its own, and must not stop ours."""
        if self._on_error is None:
            _log.warning("%s", error)
            return
        try:
            self._on_error(error)
        except Exception:
            _log.exception("on_error failed")

    def _forked(self) -> None:
        try:
            self._sender.abandon()
        finally:
            self._queue.abandon()


_live: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    lock.abandon_all()
    for client in list(_live):
        client._forked()


def _at_exit() -> None:
    for client in list(_live):
        try:
            client.close(client._options.exit_seconds)
        except Exception:
            _log.exception("closing failed")


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
