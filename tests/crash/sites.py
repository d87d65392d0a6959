"""The two loops of every crash test: killed at some calls to the file system, and cut off from
power after some of them; then what is left is checked by a process that opens it.

``script(files, root, ack)`` is what is killed; ``check(root, acked)`` raises AssertionError.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from tests.crash.disk import states
from tests.crash.fault_files import KillFiles, RecordingFiles
from tests.crash.process import apart, run_killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Script = Callable[[Any, str, Any], object]
    Check = Callable[[str, list[int]], object]


def calls_of(script: Script, root: str) -> list[Any]:
    """Calls of an undisturbed run, with marks where it acknowledged."""

    def work() -> list[Any]:
        files = RecordingFiles()
        script(files, root, files.mark)
        return files.ops

    found: list[Any] = apart(work)
    return found


def sites_of(script: Script, root: str) -> int:
    """How many of them it can be killed at."""
    return sum(op.kind != "mark" for op in calls_of(script, root))


def kill_at(
    folder: str,
    sites: Iterable[int],
    script: Script,
    check: Check,
    *,
    half: bool = False,
    armed: bool = True,
    killed: bool | None = None,
) -> None:
    """``half``: a write is cut in the middle. ``killed`` True: the script never ends by itself."""
    for site in sites:
        root = os.path.join(folder, str(site))
        acked = run_killed(
            lambda ack, r=root, s=site: script(KillFiles(s, half=half, armed=armed), r, ack),
            killed=killed,
        )
        if os.path.isdir(os.path.join(root, "default")):
            _checked(f"killed at site {site} after {acked}", check, root, acked)
        shutil.rmtree(root, ignore_errors=True)


def cut_off(
    folder: str,
    script: Script,
    check: Check,
    *,
    every: int,
    seed: int = 1,
    limit: int = 1,
    since: int | None = None,
) -> int:
    """Checks every ``every``-th state that a power cut can leave; how many. ``since``: of those
    after this acknowledgement only. ``limit``: see :func:`~tests.crash.disk.states`.
    """
    root, target = os.path.join(folder, "run"), os.path.join(folder, "state")
    calls = calls_of(script, root)
    shutil.rmtree(root)
    seen = done = 0
    for state in states(calls, root, seed=seed, limit=limit):
        if "default" not in state.directories or not (since is None or since in state.notes):
            continue
        seen += 1
        if seen % every:
            continue
        state.write(target)
        _checked(f"cut after call {state.cut}", check, target, sorted(set(state.notes)))
        done += 1
    return done


def _checked(when: str, check: Check, root: str, acked: list[int]) -> None:
    try:
        apart(lambda: check(root, acked))
    except AssertionError as error:
        raise AssertionError(f"{when}: {error}") from None
