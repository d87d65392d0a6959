"""Reading ahead: an iterator that runs on a thread of its own, a bounded number of items ahead."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Ahead(Generic[T]):
    """Iterates ``items`` on a thread, at most ``most`` ahead; errors arrive in order."""

    def __init__(self, items: Iterator[T], most: int) -> None:
        self._source = items
        self._queue: queue.Queue[tuple[T | None, BaseException | None] | None] = queue.Queue(most)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="zuji-import-reader", daemon=True)

    def _fill(self) -> None:
        try:
            for item in self._source:
                if not self._put((item, None)):
                    return
            self._put(None)
        except (
            BaseException
        ) as error:  # whatever it is, it belongs to the thread that reads the queue
            self._put((None, error))

    def _put(self, item: tuple[T | None, BaseException | None] | None) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._items()

    def _items(self) -> Iterator[T]:
        while True:
            found = self._queue.get()
            if found is None:
                return
            item, error = found
            if error is not None:
                raise error
            yield item  # type: ignore[misc]

    def __exit__(self, *_: Any) -> None:
        self._closed.set()
        self._thread.join(timeout=60)
