"""A collector's listener in a thread of the test, with a handler that records."""

import asyncio
import socket
import threading
from contextlib import contextmanager

from zuji.server.collector.http import Watch
from zuji.server.collector.message import Answer
from zuji.server.settings import Settings


class Listener:
    """``seen``: requests handled. ``later``: answers that :meth:`release` gives."""

    def __init__(self, settings=None, hold=False):
        self.seen = []
        self.held = []
        self.hold = hold
        self.watch = Watch(settings or Settings(), self._handle)
        self.loop = asyncio.new_event_loop()
        self.port = 0

    def _handle(self, request, connection):
        self.seen.append(request)
        if self.hold:
            self.held.append((request, connection))
            return None
        return Answer(200, request.body[:100])

    def release(self):
        """Answers what is held."""

        def answer():
            held, self.held = self.held, []
            for request, connection in held:
                connection.answer(Answer(200, request.body[:100]))

        self.loop.call_soon_threadsafe(answer)

    def on_loop(self, call):
        """Result of a call on the loop's thread."""

        async def run():
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)


@contextmanager
def listening(settings=None, *, hold=False, sweep=False, buffers=0):
    """``buffers``: bytes that the kernel holds of a connection each way, else up to 32 MiB."""
    listener = Listener(settings, hold)
    loop, ready = listener.loop, threading.Event()

    async def main():
        server = await loop.create_server(listener.watch.protocol, "127.0.0.1", 0)
        if buffers:  # connections have those of the socket that they come in by
            for which in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                server.sockets[0].setsockopt(socket.SOL_SOCKET, which, buffers)
        listener.port = server.sockets[0].getsockname()[1]
        listener.end = loop.create_future()
        sweeping = loop.create_task(listener.watch.sweep()) if sweep else None
        ready.set()
        await listener.end
        server.close()
        await listener.watch.drain(0.1)
        if sweeping:
            sweeping.cancel()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    ready.wait(10)
    try:
        yield listener
    finally:
        loop.call_soon_threadsafe(listener.end.set_result, None)
        thread.join()
        loop.close()


WAIT_S = 60
"""Of what comes at once on a machine that has nothing else to do."""


def connected(port):
    client = socket.create_connection(("127.0.0.1", port), WAIT_S)
    client.settimeout(WAIT_S)
    return client


def all_of(client):
    """Everything until the other side closes."""
    parts = []
    while True:
        try:
            part = client.recv(65536)
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def statuses(answered):
    """Status codes of the answers in some bytes."""
    found, rest = [], answered
    while rest.startswith(b"HTTP/1.1 "):
        head, _, rest = rest.partition(b"\r\n\r\n")
        found.append(int(head[9:12]))
        length = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ]
        rest = rest[length[0] :] if length else rest
    assert not rest, rest
    return found
