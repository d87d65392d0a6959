"""Sends user-behaviour events to a Zuji collector. See README.md."""

from zuji_sdk._version import __version__
from zuji_sdk.aio import AsyncClient
from zuji_sdk.client import Client
from zuji_sdk.errors import (
    Closed,
    DeliveryError,
    InvalidEvent,
    QueueFull,
    StorageError,
    ZujiError,
)
from zuji_sdk.options import Options
from zuji_sdk.stats import Stats

__all__ = [
    "AsyncClient",
    "Client",
    "Closed",
    "DeliveryError",
    "InvalidEvent",
    "Options",
    "QueueFull",
    "Stats",
    "StorageError",
    "ZujiError",
    "__version__",
]
