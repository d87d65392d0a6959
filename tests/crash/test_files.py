"""The file layer: which error for which errno, the lock, and files that are replaced whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from tests.crash.fault_files import Fault, FaultyFiles
from zuji.engine.errors import NotFound, ProjectLocked, ReadOnly, StorageFailed, StorageFull
from zuji.engine.storage import names
from zuji.engine.storage.files import Files
from zuji.engine.storage.lock import lock_project


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, ReadOnly),
        (errno.EACCES, ReadOnly),
        (errno.EPERM, ReadOnly),
        (errno.EIO, StorageFailed),
        (errno.EMFILE, StorageFailed),
    ],
)
def test_errors_of_each_call(tmp_path, code, kind):
    files = FaultyFiles()
    file = files.create(tmp_path / "a")
    files.plan = lambda _site, _op: Fault(code)
    for call in (
        lambda: file.write(b"x"),
        lambda: file.truncate(0),
        lambda: files.create(tmp_path / "b"),
        lambda: files.rename(tmp_path / "a", tmp_path / "b"),
        lambda: files.remove(tmp_path / "a"),
        lambda: files.mkdir(tmp_path / "c"),
    ):
        with pytest.raises(kind):
            call()
    for call in (file.sync, lambda: files.sync_dir(tmp_path)):
        with pytest.raises(StorageFailed):  # whatever the reason: it must not be tried again
            call()
    file.close()
    file.close()


def test_missing_files(tmp_path):
    files = Files()
    for call in (files.read, files.map, files.size, files.append_open, files.list):
        with pytest.raises(NotFound):
            call(tmp_path / "none")
    files.remove(tmp_path / "none")
    assert not files.exists(tmp_path / "none")


def test_appending_goes_on_at_the_end_also_after_a_cut(tmp_path):
    files = Files()
    with files.create(tmp_path / "a") as file:
        file.write(b"abc")
        file.write(memoryview(b"defg")[1:])
        assert file.size == 6
    with files.append_open(tmp_path / "a") as file:
        assert file.size == 6
        file.truncate(2)
        file.write(bytearray(b"Z"))
        file.sync()
    assert files.read(tmp_path / "a") == b"abZ"
    assert bytes(files.map(tmp_path / "a")) == b"abZ"
    assert files.map(tmp_path / "a").readonly
    with files.create(tmp_path / "a"):
        pass
    assert bytes(files.map(tmp_path / "a")) == b""


def test_a_map_outlives_the_file_name(tmp_path):
    files = Files()
    files.write_atomic(tmp_path / "a", b"x" * 5000, tmp_path / "a.tmp")
    view = files.map(tmp_path / "a")[4000:]
    files.remove(tmp_path / "a")
    assert bytes(view) == b"x" * 1000


def test_a_failed_replacement_leaves_the_old_content(tmp_path):
    files = FaultyFiles()
    target, temporary = tmp_path / "a", tmp_path / "a.tmp"
    files.write_atomic(target, b"old", temporary)
    steps = ["create", "write", "sync", "rename"]
    for kind in steps:
        files.plan = lambda _site, op, kind=kind: Fault(errno.EIO) if op.kind == kind else None
        with pytest.raises(StorageFailed):
            files.write_atomic(target, b"new", temporary)
        assert target.read_bytes() == b"old"


def test_dev_full_is_storage_full():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with Files().append_open("/dev/full") as file, pytest.raises(StorageFull):
        file.write(b"x")


def test_one_writer_in_this_process_and_in_others(tmp_path):
    files = Files()
    lock = lock_project(files, tmp_path)
    with pytest.raises(ProjectLocked, match=f"process {os.getpid()}"):
        lock_project(files, tmp_path)
    code = (
        "import sys\n"
        "from zuji.engine.storage.files import Files\n"
        "from zuji.engine.storage.lock import lock_project\n"
        "lock_project(Files(), sys.argv[1])\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert f"held by process {os.getpid()}" in refused.stderr
    lock.release()
    lock.release()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ProjectLocked, match=f"process {holder.pid}"):
            lock_project(files, tmp_path)
        holder.kill()  # nothing is released by hand: the kernel does it
    lock_project(files, tmp_path).release()


def test_a_lock_needs_no_disk_space_and_a_directory(tmp_path):
    with pytest.raises(NotFound):
        lock_project(Files(), tmp_path / "none")


def test_names_round_trip():
    assert names.wal_number(names.wal(7)) == 7
    assert names.wal_number("00000007.wal") == 7
    assert names.wal_number("7.wal") is None
    assert names.wal_number("00000007.wal.tmp") is None
    assert names.segment_id(names.segment(123456789)) == 123456789
    assert names.manifest_number(names.manifest(3)) == 3
    assert names.manifest_number("MANIFEST-00000003.tmp") is None
    assert names.ids_id(names.ids(1)) == names.dedup_id(names.dedup(1)) == 1
    assert names.is_temporary(names.temporary(names.segment(1)))
    assert names.damaged(names.wal(2), 64) == "quarantine/wal-00000002.wal.at-64.damaged"
