"""One writer a project: the lock file.

Invariant: while a ``LockHandle`` is held no other process, and no second opener in this one, can
hold it. The kernel frees it when the process ends, so there is no stale lock to clean up, and a
crash needs no manual step. Readers take no lock: files they read are immutable or append-only.
A child made by ``fork`` without ``exec`` shares the lock until it closes or exits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.engine.storage import names

if TYPE_CHECKING:
    import os

    from zuji.engine.storage.files import Files, LockHandle


def lock_project(files: Files, root: str | os.PathLike[str]) -> LockHandle:
    """Take the writer's lock of the project in ``root``.

    Raises ``ProjectLocked`` naming the process that holds it, ``ReadOnly`` when the directory
    cannot be written, ``NotFound`` when it is not there.
    """
    return files.lock(names.path(root, names.LOCK))
