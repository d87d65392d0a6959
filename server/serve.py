"""The server's process: both listeners on one loop, from opening the projects to the last sync.

Order at the end (SIGTERM, SIGINT): no new connection; answers that are due; what waits is stored;
queries are cancelled; projects are flushed and closed. What does not end within ``stop_seconds`` is
left to the log: everything acknowledged is in it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import ssl
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop

from zuji.engine.errors import InvalidInput, StorageFailed
from zuji.server.accounts import passwords
from zuji.server.accounts.sessions import Sessions
from zuji.server.api import Api, make_api
from zuji.server.auth import KeyRing
from zuji.server.collector.app import Collector
from zuji.server.collector.http import Watch
from zuji.server.console_files import Console
from zuji.server.logs import set_up
from zuji.server.meta import open_store
from zuji.server.metrics import Metrics
from zuji.server.projects import Projects
from zuji.server.refreshing import Refreshing
from zuji.server.settings import Settings, address
from zuji.server.upkeep import Keeping

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette

log = logging.getLogger(__name__)

BACKLOG = 4096
OWN_FILES = 1024
"""Open files that are left for projects and queries, beside connections."""
SWITCH_S = 0.0001
"""A thread that computes in Python lets others go on after this: acknowledgements pass through
several threads, each takes the interpreter's lock many times, and may wait so long every time,
while flushes and merges compute. 0.5 ms made their p99 twice as long.
"""
DRAIN_SHARE = 0.4
"""Part of ``stop_seconds`` for answers that are due."""


def serve(settings: Settings, started: Callable[[dict[str, str]], None] | None = None) -> None:
    """Serves until a signal ends it. ``started`` gets the addresses, by listener.

    Raises:
        InvalidInput: an address or a certificate that cannot be used. ZujiError: of a project.
    """
    set_up(settings.log_level, settings.log_format)
    uvloop.run(_Process(settings).run(started))


class _Process:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending = asyncio.Event()
        self._tls = _tls(settings)

    async def run(self, started: Callable[[dict[str, str]], None] | None) -> None:
        settings, loop = _within_files(self._settings), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        store = open_store(settings.data, settings.database)
        keys, metrics = KeyRing(store, dev=settings.dev), Metrics()
        projects = Projects(settings, loop, store)
        collector = Collector(settings, projects, keys, metrics, loop)
        sessions = Sessions(store, settings.session_idle, settings.session_most)
        api = Api(settings, projects, keys, metrics, store, sessions)
        watch = Watch(settings, collector.handle, collector.quickly)
        watch.wary, watch.early = collector.standing.wary, collector.early
        metrics.watch(watch, projects)
        addresses: dict[str, str] = {}
        tasks: list[asyncio.Task[Any]] = []
        servers: list[asyncio.Server] = []
        asked: _Api | None = None
        rounds = (Refreshing(projects), Keeping(projects))
        try:
            if settings.collect:
                server = await self._listen(watch)
                servers.append(server)
                addresses["collect"] = _shown(server, self._tls)
                tasks.append(asyncio.ensure_future(watch.sweep()))
            if settings.api:
                asked = _Api(make_api(api, Console()), settings)
                tasks.append(asyncio.ensure_future(asked.serve()))
                addresses["api"] = await asked.address()
            await asyncio.to_thread(projects.open_all)
            if settings.api and not settings.dev:
                await asyncio.to_thread(passwords.prepare)
                if settings.insecure_cookie:
                    log.warning("insecure_cookie: passwords can be read on the network")
            _spare_collections()
            sys.setswitchinterval(SWITCH_S)
            collector.ready = api.ready = True
            for one in rounds:
                one.start()
            if started is not None:
                started(addresses)
            log.info("serving %s", " ".join(f"{k}={v}" for k, v in addresses.items()))
            await self._ending.wait()
        finally:
            log.info("stopping")
            collector.ready = api.ready = False
            _end_for_sure(settings.stop_seconds)
            for server in servers:
                server.close()
            await watch.drain(settings.stop_seconds * DRAIN_SHARE)
            await asyncio.to_thread(api.close)
            if asked is not None:
                asked.should_exit = True
                await asked.ended.wait()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            for one in rounds:
                await asyncio.to_thread(one.stop)
            await asyncio.to_thread(collector.close)
            await asyncio.to_thread(projects.close)
            sessions.close()
            store.close()
            log.info("stopped")

    def _end(self) -> None:
        if self._ending.is_set():
            log.warning("stopping at once: what was acknowledged is in the log")
            _leave()
        self._ending.set()

    async def _listen(self, watch: Watch) -> asyncio.Server:
        host, port = address(self._settings.collect, "collect")
        try:
            return await asyncio.get_running_loop().create_server(
                watch.protocol, host or None, port, ssl=self._tls, backlog=BACKLOG
            )
        except OSError as problem:
            raise InvalidInput(f"--collect {self._settings.collect}: {problem.strerror}") from None


def _within_files(settings: Settings) -> Settings:
    """The settings with no more connections than this process may have open files, but for those
    that projects need: a log that cannot be opened would stop all writing.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.connections + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if soft < wanted:
            most = max(soft // 2, soft - OWN_FILES)
            log.warning("connections=%d at most: open files are limited to %d", most, soft)
            return replace(settings, connections=most)
    return settings


class _Api(uvicorn.Server):
    """uvicorn without its signal handlers, telling its address."""

    def __init__(self, app: Starlette, settings: Settings) -> None:
        host, port = address(settings.api, "api")
        self._said = settings.api
        self._failed: BaseException | None = None
        self.ended = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                app,
                host=host or "0.0.0.0",
                port=port,
                http="httptools",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=settings.trusted_proxies,
                ssl_certfile=settings.tls_cert or None,
                ssl_keyfile=settings.tls_key or None,
                timeout_graceful_shutdown=2,
                h11_max_incomplete_event_size=settings.header_bytes,
            )
        )

    async def serve(self, sockets: Any = None) -> None:
        """Serves until ``should_exit``; does not touch the process's signals."""
        try:
            await self._serve(sockets)
        except SystemExit:  # uvicorn's way to say that it could not start
            self._failed = StorageFailed("the API could not start")
        finally:
            self.ended.set()

    async def address(self) -> str:
        """Where it listens, once it does.

        Raises:
            InvalidInput: it cannot.
        """
        while not self.started:
            if self.ended.is_set():
                raise InvalidInput(f"--api {self._said}: cannot listen there (see the log)")
            await asyncio.sleep(0.01)
        return _shown(self.servers[0], self.config.ssl)


def _shown(server: Any, tls: ssl.SSLContext | None) -> str:
    name = server.sockets[0].getsockname()
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{'https' if tls else 'http'}://{host}:{name[1]}"


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as problem:
        raise InvalidInput(f"--tls-cert {settings.tls_cert}: {problem}") from None
    return context


def _spare_collections() -> None:
    """What is there now stays, so the garbage collector need not look at it again: with all modules
    loaded that takes 50 ms, in the middle of requests. What requests leave behind is freed by its
    counts; cycles are looked for after 10,000 objects instead of 700, which fewer requests hold.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _end_for_sure(seconds: float) -> None:
    """The process is gone after this, whatever hangs."""
    timer = threading.Timer(seconds, _leave)
    timer.daemon = True
    timer.start()


def _leave() -> None:
    sys.stderr.flush()
    os._exit(1)
