"""Places and fixed randomness for the crash tests."""

from __future__ import annotations

import os
import tempfile

import pytest


@pytest.fixture
def fast_path(tmp_path):
    """A directory in memory if there is one: states are written and read thousands of times."""
    if os.access("/dev/shm", os.W_OK):
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="zuji-") as path:
            yield path
    else:
        yield str(tmp_path)


@pytest.fixture
def same_project(monkeypatch):
    """Every project made has the same salt, so that the calls of a run can be numbered."""
    from zuji.engine import recovery

    monkeypatch.setattr(recovery.secrets, "randbits", lambda _bits: 0x5EED)
