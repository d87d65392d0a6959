"""Engines that wait for no disk: for tests of many engines each, of what is stored and answered and
not of what survives (those are in tests/crash).
"""

from contextlib import contextmanager

import pytest

from zuji.engine.storage.files import Appender, Files


@contextmanager
def without_syncs():
    """Syncs of files and directories do nothing meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Appender, "_sync_once", lambda _self: None)
        patch.setattr(Files, "sync_dir", lambda _self, _path: None)
        yield
