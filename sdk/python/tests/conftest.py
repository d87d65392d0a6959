from __future__ import annotations

from typing import Any

import pytest
from collector import Collector

from zuji_sdk import Client, Options

QUICK = {"batch_seconds": 60, "retry_base_seconds": 0.01, "retry_cap_seconds": 0.05}


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def client_of(collector):
    """Makes clients of the collector, and closes them at the end; `errors` are what they told."""
    clients = []

    def make(*, consent: Any = True, queue_dir: Any = None, **settings: Any) -> Client:
        errors: list[Exception] = []
        client = Client(
            collector.url,
            "key",
            consent=consent,
            queue_dir=None if queue_dir is None else str(queue_dir),
            properties={"$lib": None, "$lib_version": None},
            on_error=errors.append,
            options=Options(**{**QUICK, **settings}),
        )
        client.errors = errors  # type: ignore[attr-defined]
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close(0)


def track(client: Client, numbers: Any) -> None:
    for n in numbers:
        client.track("e", {"n": n}, user_id="u")
