"""The attacks: coroutines that do one hostile thing to a collector until they are cancelled.

Each goes as fast as one busy client can unless it says otherwise; what the server answers is of no
interest to them.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

SLOW = 5000
"""Slow connections; the address limit is 2,000, so they come from several."""
ADDRESSES = 4
WORKERS = 8
NOW = 1_790_827_200_000
MOST_INFLATED = 4 << 20
"""The server inflates no more of a body."""

Write = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Aim:
    """Where to: ``port`` on loopback; ``key``: that an attacker took out of an app. ``slow``:
    connections of the slow attacks.
    """

    def __init__(self, port: int, key: str, slow: int = SLOW) -> None:
        self.port, self.key, self.slow = port, key, slow

    async def open(self, number: int = 0) -> Write:
        """A connection; ``number`` chooses the address that it comes from."""
        local = (f"127.0.0.{2 + number % ADDRESSES}", 0)
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=local)

    def head(self, length: int, *more: str, path: str = "/v1/events") -> bytes:
        """Header of a POST with the key."""
        lines = [f"POST {path} HTTP/1.1", "Host: a", f"Authorization: Bearer {self.key}"]
        lines += [f"Content-Length: {length}", *more]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _many(work: Callable[[int], Coroutine[None, None, None]], count: int) -> None:
    """So many at once, each again when it ends or breaks."""

    async def forever(number: int) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                await work(number)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(forever(number))


async def _posted(aim: Aim, number: int, body: bytes, *more: str, path: str = "/v1/events") -> None:
    """One request and its answer on a connection of its own."""
    reader, writer = await aim.open(number)
    try:
        writer.write(aim.head(len(body), "Connection: close", *more, path=path) + body)
        await writer.drain()
        await reader.read()
    finally:
        writer.close()


async def slow_headers(aim: Aim) -> None:
    """Thousands of connections whose header never ends: a byte every two seconds."""

    async def one(number: int) -> None:
        _, writer = await aim.open(number)
        try:
            writer.write(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX: ")
            while not writer.is_closing():
                await asyncio.sleep(2)
                writer.write(b"a")
                await writer.drain()
        finally:
            writer.close()

    await _many(one, aim.slow)


async def slow_bodies(aim: Aim) -> None:
    """The same with bodies."""

    async def one(number: int) -> None:
        _, writer = await aim.open(number)
        try:
            writer.write(aim.head(100_000))
            while not writer.is_closing():
                await asyncio.sleep(2)
                writer.write(b"[")
                await writer.drain()
        finally:
            writer.close()

    await _many(one, aim.slow)


async def never_reading(aim: Aim) -> None:
    """Pipelined requests without end from clients that read no answer."""
    requests = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 1000

    async def one(number: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            client.bind((f"127.0.0.{2 + number % ADDRESSES}", 0))
            await loop.sock_connect(client, ("127.0.0.1", aim.port))
            async with asyncio.timeout(30):
                while True:
                    await loop.sock_sendall(client, requests)

    async def patient(number: int) -> None:
        with suppress(TimeoutError):
            await one(number)

    await _many(patient, 50)


async def half_closed(aim: Aim) -> None:
    """Half a request, and then no more; the other half of the connection stays."""

    async def one(number: int) -> None:
        reader, writer = await aim.open(number)
        try:
            writer.write(aim.head(1000) + b"{" * 500)
            writer.write_eof()
            await reader.read()
        finally:
            writer.close()

    await _many(one, 100)


def _bodies(*made: bytes, coding: str = "") -> Callable[[Aim], Coroutine[None, None, None]]:
    more = (f"Content-Encoding: {coding}",) if coding else ()

    async def attack(aim: Aim) -> None:
        async def one(number: int) -> None:
            await _posted(aim, number, made[number % len(made)], *more)

        await _many(one, WORKERS)

    return attack


def _foreign(path: str, body: bytes) -> Callable[[Aim], Coroutine[None, None, None]]:
    async def attack(aim: Aim) -> None:
        async def one(number: int) -> None:
            await _posted(aim, number, body, path=path)

        await _many(one, WORKERS)

    return attack


async def key_guessing(aim: Aim) -> None:
    """Requests with made-up keys, on connections that are kept."""

    async def one(number: int) -> None:
        reader, writer = await aim.open(number)
        try:
            while True:
                guess = Aim(aim.port, f"zk_w_{random.getrandbits(32):08x}_{'a' * 32}")
                writer.write(guess.head(2) + b"[]")
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
                await reader.readexactly(int(length))
        finally:
            writer.close()

    await _many(one, WORKERS)


async def huge_headers(aim: Aim) -> None:
    """Ten megabytes of one header field, and thousands of fields."""
    wide = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (10 << 20)
    many = b"GET / HTTP/1.1\r\nHost: a\r\n"
    many += b"".join(b"X-%d: a\r\n" % n for n in range(100_000))

    async def one(number: int) -> None:
        reader, writer = await aim.open(number)
        try:
            writer.write(many if number & 1 else wide)
            await writer.drain()
            await reader.read()
        finally:
            writer.close()

    await _many(one, WORKERS)


async def new_names(aim: Aim) -> None:
    """Every batch has a hundred event names and thousands of properties that nobody has seen."""

    async def one(number: int) -> None:
        events = [
            {
                "event": f"e{random.getrandbits(40):x}",
                "time": NOW,
                "user_id": f"u{number}",
                "properties": {f"p{random.getrandbits(40):x}": 1 for _ in range(100)},
            }
            for _ in range(100)
        ]
        await _posted(aim, number, msgpack.packb(events))

    await _many(one, WORKERS)


_WIDE = msgpack.packb([[1] * 60_000] * 16)
_NESTED = b"\x91" * (1 << 20)
_DEEP_EVENT = b'[{"event":"e","time":1,"user_id":"u","properties":{"a":' + b"[" * 500_000
_DEEP = b"[" * (1 << 20)
_DEEP_OTHERS = b'{"api_key":"k","batch":' + b"[" * 900_000
_WIDE_OTHERS = b'{"api_key":"k","batch":[' + b"{}," * 250_000 + b"{}]}"
INFLATED: dict[str, int] = {
    "gzip bombs": MOST_INFLATED,
    "large good bodies": len(_WIDE * 2),
    "nested msgpack": len(_NESTED),
    "wide msgpack": max(len(_WIDE), 1 << 20),
    "deep JSON": len(_DEEP),
    "deep JSON of others' SDKs": len(_DEEP_OTHERS),
    "wide JSON of others' SDKs": len(_WIDE_OTHERS),
}
"""Bytes of the largest body of some attacks, inflated; the server has WORKERS of them at once."""
ATTACKS: dict[str, Callable[[Aim], Coroutine[None, None, None]]] = {
    "slow headers": slow_headers,
    "slow bodies": slow_bodies,
    "clients that never read": never_reading,
    "half-closed connections": half_closed,
    "gzip bombs": _bodies(gzip.compress(bytes(64 << 20)), coding="gzip"),
    "gzip of many members": _bodies(gzip.compress(b"") * 50_000, coding="gzip"),
    "large good bodies": _bodies(gzip.compress(_WIDE * 2, 1), coding="gzip"),
    "nested msgpack": _bodies(_NESTED),
    "wide msgpack": _bodies(_WIDE, b"\xdd\xff\xff\xff\xff" + bytes(1 << 20)),
    "deep JSON": _bodies(_DEEP, _DEEP_EVENT),
    "deep JSON of others' SDKs": _foreign("/batch", _DEEP_OTHERS),
    "wide JSON of others' SDKs": _foreign("/batch", _WIDE_OTHERS),
    "new names": new_names,
    "key guessing": key_guessing,
    "huge headers": huge_headers,
}
