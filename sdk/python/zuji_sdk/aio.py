"""The client for asyncio.

It is the same client: its thread compresses, syncs files and waits for the network, so none of
that holds up an event loop, and events survive a loop that is closed early. Taking an event is a
few microseconds of packing and one write to a file, done in place; only where that may wait
(`full="block"`, `fsync="always"`) it is handed to the loop's executor.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from zuji_sdk.client import Client
from zuji_sdk.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from zuji_sdk.errors import ZujiError
    from zuji_sdk.event import Id, Properties, Time
    from zuji_sdk.stats import Stats


class AsyncClient:
    """`Client` with methods to await. `on_error` is called in the sending thread."""

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
        options = options or Options()
        self._may_wait = options.full == "block" or (
            queue_dir is not None and options.fsync == "always"
        )
        self._client = Client(
            url,
            key,
            consent=consent,
            queue_dir=queue_dir,
            properties=properties,
            on_error=on_error,
            options=options,
        )

    async def track(
        self,
        event_name: str,
        properties: Properties | None = None,
        *,
        user_id: Id | None = None,
        device_id: Id | None = None,
        time: Time | None = None,
        insert_id: Id | None = None,
    ) -> None:
        """See `Client.track`."""
        await self._call(
            partial(
                self._client.track,
                event_name,
                properties,
                user_id=user_id,
                device_id=device_id,
                time=time,
                insert_id=insert_id,
            )
        )

    async def profile_set(
        self,
        properties: Properties,
        *,
        user_id: Id | None = None,
        device_id: Id | None = None,
        time: Time | None = None,
        insert_id: Id | None = None,
    ) -> None:
        """See `Client.profile_set`."""
        await self._call(
            partial(
                self._client.profile_set,
                properties,
                user_id=user_id,
                device_id=device_id,
                time=time,
                insert_id=insert_id,
            )
        )

    async def profile_unset(
        self,
        names: Iterable[str],
        *,
        user_id: Id | None = None,
        device_id: Id | None = None,
        time: Time | None = None,
        insert_id: Id | None = None,
    ) -> None:
        """See `Client.profile_unset`."""
        await self._call(
            partial(
                self._client.profile_unset,
                names,
                user_id=user_id,
                device_id=device_id,
                time=time,
                insert_id=insert_id,
            )
        )

    async def record(
        self,
        type_: str,
        fields: Mapping[str, Any],
        *,
        user_id: Id | None = None,
        device_id: Id | None = None,
        time: Time | None = None,
        insert_id: Id | None = None,
    ) -> None:
        """See `Client.record`."""
        await self._call(
            partial(
                self._client.record,
                type_,
                fields,
                user_id=user_id,
                device_id=device_id,
                time=time,
                insert_id=insert_id,
            )
        )

    @property
    def consent(self) -> bool | None:
        """What `set_consent` was told last."""
        return self._client.consent

    async def set_consent(self, consent: bool | None) -> None:
        """See `Client.set_consent`."""
        await _in_executor(partial(self._client.set_consent, consent))

    async def flush(self, timeout: float | None = None) -> bool:
        """See `Client.flush`. No thread waits for it; it may be cancelled."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()

        def settle(gone: bool) -> None:
            if not done.done():
                done.set_result(gone)

        def from_thread(gone: bool) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(settle, gone)

        waiting = self._client._begin_flush(from_thread)
        try:
            return await asyncio.wait_for(done, timeout)
        except asyncio.TimeoutError:
            return False
        finally:
            self._client._queue.forget(waiting)

    def reconfigure(self, *, url: str | None = None, key: str | None = None) -> None:
        """See `Client.reconfigure`. Does not wait."""
        self._client.reconfigure(url=url, key=key)

    async def close(self, timeout: float | None = 5.0) -> bool:
        """See `Client.close`."""
        gone = await self.flush(timeout)
        await _in_executor(partial(self._client.close, 0.0))
        return gone

    @property
    def stats(self) -> Stats:
        """What became of the events until now."""
        return self._client.stats

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(self, work: Callable[[], object]) -> None:
        if self._may_wait:
            await _in_executor(work)
        else:
            work()


async def _in_executor(work: Callable[[], object]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, work)
