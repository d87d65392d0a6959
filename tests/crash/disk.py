"""Every state that a power cut may leave on a disk, from the recorded calls of a run.

The model is weaker than any file system we run on (it allows more states):

* A file's content is certain up to its last completed ``sync``. Of what was done to it after that,
  any prefix may be there, the last write of it torn at any byte; or the size may have grown and
  some 512-byte sectors of the new part hold zeros, because they were never written.
* A directory's names are certain up to its last ``sync_dir``. Of the names made, renamed and
  removed after that, any subset may be there, each whole (rename is atomic), in order by name.
* Files and directories are independent of each other.

``states(ops, …)`` cuts the run after every call and yields distinct states; where there are more
combinations than asked for, the extremes come first (nothing more than is certain; everything; one
thing lost at a time; one file torn at a time) and the rest is drawn with a seed.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crash.fault_files import Op

SECTOR = 512


@dataclass
class _Inode:
    """A file's content: ``certain`` bytes, then calls not yet synced."""

    certain: bytes = b""
    pending: list[Op] = field(default_factory=list)


@dataclass
class _Names:
    """A directory: certain names, then changes not yet synced. A change maps names to inodes."""

    certain: dict[str, _Inode | None] = field(default_factory=dict)  # None: a directory
    pending: list[dict[str, _Inode | str | None]] = field(default_factory=list)


GONE = "gone"


@dataclass(frozen=True)
class CrashState:
    """Files by path relative to the root, the directories, and the notes made before the cut."""

    cut: int
    files: dict[str, bytes]
    directories: frozenset[str]
    notes: tuple
    digest: bytes

    def write(self, root: str) -> None:
        """Put the state on a real disk, in the place of what is at ``root``."""
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root)
        for directory in sorted(self.directories):
            os.makedirs(os.path.join(root, directory), exist_ok=True)
        for name, content in self.files.items():
            with open(os.path.join(root, name), "wb") as file:
                file.write(content)


class Disk:
    """What is certain and what is pending, after some of the recorded calls."""

    def __init__(self, root: str, start: CrashState | None = None) -> None:
        self.root = os.path.abspath(root)
        self.directories: dict[str, _Names] = {"": _Names()}
        self.notes: list = []
        if start is not None:  # what a reboot found is certain
            self.notes += start.notes
            for name in sorted(start.directories):
                directory, base = os.path.split(name)
                self.directories[name] = _Names()
                self.directories[directory].certain[base] = None
            for name, content in start.files.items():
                directory, base = os.path.split(name)
                self.directories[directory].certain[base] = _Inode(content)

    def apply(self, op: Op) -> None:
        """Take one more recorded call into account."""
        kind = op.kind
        if kind == "mark":
            self.notes.append(op.note)
            return
        name = self._relative(op.path)
        if name is None:
            return
        if kind == "mkdir":
            if name and name not in self.directories:
                self._change(name, None)
                self.directories[name] = _Names()
        elif kind == "create":
            found = self._find(name)
            if found is None:
                self._change(name, _Inode())
            else:
                found.pending.append(op)
        elif kind in ("write", "truncate"):
            self._inode(name).pending.append(op)
        elif kind == "sync":
            inode = self._inode(name)
            inode.certain, inode.pending = _content(inode.certain, inode.pending), []
        elif kind == "rename":
            self._rename(name, self._relative(op.target))
        elif kind == "remove":
            if self._find(name) is not None:
                self._change(name, GONE)
        elif kind == "sync_dir":
            names = self.directories[name]
            for change in names.pending:
                _merge(names.certain, change)
            names.pending = []
        else:
            raise AssertionError(kind)

    def _relative(self, path: str) -> str | None:
        relative = os.path.relpath(os.path.abspath(path), self.root)
        if relative == ".":
            return ""
        return None if relative.startswith("..") else relative

    def _change(self, name: str, value) -> None:
        directory, base = os.path.split(name)
        self.directories[directory].pending.append({base: value})

    def _rename(self, source: str, target: str) -> None:
        directory, base = os.path.split(source)
        other, new = os.path.split(target)
        assert directory == other, "renames stay in one directory"
        inode = self._inode(source)
        self.directories[directory].pending.append({base: GONE, new: inode})

    def _find(self, name: str) -> _Inode | None:
        directory, base = os.path.split(name)
        names = self.directories[directory]
        now = dict(names.certain)
        for change in names.pending:
            _merge(now, change)
        return now.get(base)

    def _inode(self, name: str) -> _Inode:
        found = self._find(name)
        assert found is not None, name
        return found

    def choices(self, rng: random.Random, limit: int) -> Iterator[tuple[dict, dict]]:
        """(kept names by directory, content choice by inode id), extremes first."""
        named = {d: len(n.pending) for d, n in self.directories.items() if n.pending}
        inodes = {id(i): i for n in self.directories.values() for i in _inodes_of(n) if i.pending}
        all_names = {d: tuple(range(count)) for d, count in named.items()}
        no_names = dict.fromkeys(named, ())
        everything = {key: _content(i.certain, i.pending) for key, i in inodes.items()}
        nothing = {key: i.certain for key, i in inodes.items()}
        yield all_names, everything
        yield all_names, nothing
        yield no_names, nothing
        yield no_names, everything
        for d, count in named.items():
            for lost in range(count):
                yield {**all_names, d: tuple(k for k in range(count) if k != lost)}, everything
                yield {**all_names, d: tuple(range(lost))}, everything
                yield {**no_names, d: (lost,)}, everything
        for key, inode in inodes.items():
            for content in _contents(inode, rng):
                yield all_names, {**everything, key: content}
        if not named and not inodes:
            return
        for _ in range(limit):
            names = {
                d: tuple(k for k in range(count) if rng.random() < 0.5)
                for d, count in named.items()
            }
            yield names, {key: rng.choice(list(_contents(i, rng))) for key, i in inodes.items()}

    def state(self, cut: int, kept: dict, contents: dict) -> CrashState:
        """The state that a choice of ``choices`` stands for."""
        files: dict[str, bytes] = {}
        directories: set[str] = set()
        reached = [""]
        while reached:
            directory = reached.pop()
            names = self.directories[directory]
            now = dict(names.certain)
            for k in kept.get(directory, ()):
                _merge(now, names.pending[k])
            for base, inode in now.items():
                name = os.path.join(directory, base)
                if inode is None:
                    directories.add(name)
                    reached.append(name)
                else:
                    files[name] = contents.get(id(inode), inode.certain)
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(files):
            digest.update(name.encode() + b"\0" + len(files[name]).to_bytes(8, "little"))
            digest.update(files[name])
        digest.update(repr(sorted(directories)).encode())
        digest.update(repr(self.notes).encode())
        return CrashState(cut, files, frozenset(directories), tuple(self.notes), digest.digest())


def states(
    ops: list[Op],
    root: str,
    *,
    seed: int,
    limit: int,
    start: CrashState | None = None,
    first: int = 0,
) -> Iterator[CrashState]:
    """Distinct crash states of a run, cut after every call from number ``first`` on.

    ``limit``: combinations drawn a cut, on top of the extremes. ``start``: what was there before
    the run (the state of an earlier crash, when the run is a recovery).
    """
    rng = random.Random(seed)
    disk = Disk(root, start)
    seen: set[bytes] = set()
    for cut, op in enumerate(ops):
        disk.apply(op)
        if op.kind == "mark" or cut < first:
            continue
        for kept, contents in disk.choices(rng, limit):
            state = disk.state(cut, kept, contents)
            if state.digest not in seen:
                seen.add(state.digest)
                yield state


def everything(ops: list[Op], root: str) -> CrashState:
    """What a killed process leaves: all it did, whether synced or not. The disk goes on."""
    disk = Disk(root)
    for op in ops:
        disk.apply(op)
    kept, contents = next(disk.choices(random.Random(0), 0))
    return disk.state(len(ops), kept, contents)


def _merge(names: dict, change: dict) -> None:
    for base, value in change.items():
        if value is GONE:
            names.pop(base, None)
        else:
            names[base] = value


def _inodes_of(names: _Names) -> Iterator[_Inode]:
    for value in itertools.chain(
        names.certain.values(), *(change.values() for change in names.pending)
    ):
        if isinstance(value, _Inode):
            yield value


def _content(certain: bytes, calls: list[Op]) -> bytes:
    content = bytearray(certain)
    for op in calls:
        if op.kind == "create":
            del content[:]
        elif op.kind == "truncate":
            del content[op.offset :]
        else:
            content[op.offset : op.offset + len(op.data)] = op.data
    return bytes(content)


def _contents(inode: _Inode, rng: random.Random) -> Iterator[bytes]:
    """Contents a file may have: every prefix of the calls, torn writes, sectors never written."""
    calls = inode.pending
    for done in range(len(calls) + 1):
        before = _content(inode.certain, calls[:done])
        yield before
        if done == len(calls) or calls[done].kind != "write":
            continue
        op = calls[done]
        torn = {1, len(op.data) // 2, len(op.data) - 1, rng.randrange(len(op.data) + 1)}
        for length in sorted(torn):
            yield before[: op.offset] + op.data[:length]
        full = bytearray(_content(inode.certain, calls))
        sectors = list(range(op.offset // SECTOR, (op.offset + len(op.data) - 1) // SECTOR + 1))
        lost = rng.sample(sectors, rng.randint(1, len(sectors)))
        for sector in lost:
            start = max(sector * SECTOR, op.offset, len(inode.certain))
            stop = min((sector + 1) * SECTOR, len(full))
            full[start:stop] = bytes(max(0, stop - start))
        yield bytes(full)
