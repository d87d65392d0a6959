"""The write-ahead log cut at every byte, with every byte flipped, and under failing calls."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from tests.crash.fault_files import (
    SYNCS,
    Fault,
    FaultyFiles,
    OverlayFiles,
    fail_at,
    full_from,
)
from tests.crash.miniature import payload
from zuji.engine.errors import (
    Corruption,
    EngineClosed,
    StorageFailed,
    StorageFull,
    UnsupportedFormat,
)
from zuji.engine.storage import log_format, names
from zuji.engine.storage.files import Files
from zuji.engine.storage.wal import MAGIC, WalWriter, read_wal

PROJECT = bytes(range(16))


def new_wal(files, root, first_number=1, next_seq=1):
    files.mkdir(os.path.join(root, names.WAL_DIR))
    files.mkdir(os.path.join(root, names.QUARANTINE_DIR))
    return WalWriter(files, root, first_number, next_seq, project=PROJECT)


def write_rows(root, rows, per_file):
    """Log ``rows`` records, a new file after every ``per_file``."""
    wal = new_wal(Files(), root)
    for seq in range(1, rows + 1):
        assert wal.append(seq % 7, payload(seq)) == seq
        if seq % per_file == 0 and seq < rows:
            wal.rotate()
    wal.sync(rows)
    wal.close()


def read_rows(files, root, from_number=1, repair=False):
    records, report = read_wal(files, root, from_number, project=PROJECT, repair=repair)
    return [(seq, kind, body) for seq, kind, body in records], report


def expected(seqs):
    return [(seq, seq % 7, payload(seq)) for seq in seqs]


def test_records_come_back_in_order_over_several_files(tmp_path):
    write_rows(tmp_path, 40, 9)
    rows, report = read_rows(Files(), tmp_path, repair=True)
    assert rows == expected(range(1, 41))
    assert report.clean
    assert (report.torn, report.records, report.last_seq, report.last_number) == ([], 40, 40, 5)
    assert os.listdir(tmp_path / "quarantine") == []


def test_trim_removes_only_older_files_and_size_follows(tmp_path):
    write_rows(tmp_path, 40, 9)
    wal = new_wal(Files(), tmp_path, 6, 41)
    sizes = {n: (tmp_path / names.wal(n)).stat().st_size for n in range(1, 6)}
    assert wal.size_bytes == sum(sizes.values())
    wal.trim(4)
    assert wal.size_bytes == sizes[4] + sizes[5]
    assert [seq for seq, _, _ in read_rows(Files(), tmp_path, 4)[0]] == list(range(28, 41))
    wal.append(1, b"x")
    wal.trim(100)  # never the file in use
    assert sorted(os.listdir(tmp_path / "wal")) == ["00000006.wal"]
    wal.close()


@pytest.mark.parametrize("repair", [False, True])
def test_cut_at_every_byte_leaves_a_clean_prefix(tmp_path, repair):
    write_rows(tmp_path, 9, 4)
    path = tmp_path / names.wal(3)
    whole = path.read_bytes()
    seed = log_format.record_seed(PROJECT, 3)
    ends = [64, *(item.end for item in log_format.scan(whole, seed, 64, 8))]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        rows, report = read_rows(Files(), tmp_path, repair=repair)
        kept = sum(end <= length for end in ends[1:])
        assert rows == expected(range(1, 9 + kept)), length
        assert report.clean, length
        boundary = max((end for end in ends if end <= length), default=0)
        torn = length - boundary
        assert report.torn == ([(names.wal(3), boundary, torn)] if torn else []), length
        if repair:
            assert path.stat().st_size == boundary
            for copy in report.quarantined:
                assert (tmp_path / copy).read_bytes() == whole[boundary:length]
                os.remove(tmp_path / copy)
            assert read_rows(Files(), tmp_path)[1].torn == []
        # read_only leaves everything as it is
        assert repair or path.read_bytes() == whole[:length]


def test_a_cut_file_that_is_not_the_last_is_damage_and_later_records_are_kept(tmp_path):
    write_rows(tmp_path, 12, 4)
    path = tmp_path / names.wal(2)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        rows, report = read_rows(Files(), tmp_path, repair=True)
        assert [row for row in rows if row[0] > 8] == expected(range(9, 13))
        assert rows == expected(seq for seq, _, _ in rows)
        assert report.torn == []
        assert path.stat().st_size == length  # nothing is cut


def test_every_bit_flipped_is_reported_and_only_that_record_is_lost(tmp_path):
    write_rows(tmp_path, 12, 6)
    all_rows = expected(range(1, 13))
    outcomes = {"detected": 0, "harmless": 0}
    for number in (1, 2):
        path = str(tmp_path / names.wal(number))
        with open(path, "rb") as file:
            whole = file.read()
        for position in range(len(whole)):
            for bit in range(8):
                flipped = bytearray(whole)
                flipped[position] ^= 1 << bit
                files = OverlayFiles({path: bytes(flipped)})
                try:
                    rows, report = read_rows(files, tmp_path)
                except UnsupportedFormat:
                    pytest.fail("a flipped version must fail the header's checksum")
                lost = [row for row in all_rows if row not in rows]
                assert rows == [row for row in all_rows if row not in lost]  # never a wrong record
                assert len(lost) <= 1, (number, position, bit)
                if report.damaged:
                    (where,) = report.damaged
                    assert where[1] <= position < where[1] + where[2]
                    assert where[2] < len(whole)
                    outcomes["detected"] += 1
                else:
                    assert not lost, (number, position, bit, report)
                    assert not report.torn
                    outcomes["harmless"] += 1
    print(outcomes)
    assert outcomes["harmless"] <= 12 * 8  # the end marks


def test_damage_is_copied_to_quarantine_once_and_reported_every_time(tmp_path):
    write_rows(tmp_path, 12, 6)
    path = tmp_path / names.wal(1)
    whole = bytearray(path.read_bytes())
    whole[200] ^= 1
    path.write_bytes(whole)
    first = read_rows(Files(), tmp_path, repair=True)[1]
    second = read_rows(Files(), tmp_path, repair=True)[1]
    assert first == second
    ((name, offset, length),) = first.damaged
    assert (tmp_path / names.damaged(name, offset)).read_bytes() == whole[offset : offset + length]
    assert len(os.listdir(tmp_path / "quarantine")) == 1


def test_two_damaged_regions_in_one_file(tmp_path):
    write_rows(tmp_path, 12, 12)
    path = str(tmp_path / names.wal(1))
    whole = bytearray(Files().read(path))
    items = list(log_format.scan(bytes(whole), log_format.record_seed(PROJECT, 1), 64, 0))
    for seq in (3, 4, 9):
        whole[items[seq - 1].offset + 30] ^= 0x10
    rows, report = read_rows(OverlayFiles({path: bytes(whole)}), tmp_path)
    assert rows == expected([1, 2, 5, 6, 7, 8, 10, 11, 12])
    assert [entry[1] for entry in report.damaged] == [items[2].offset, items[8].offset]


def test_a_record_hidden_in_a_payload_is_never_read_as_one(tmp_path):
    # A client sends bytes that look like a record; then the record that holds them is damaged.
    hidden = log_format.frame(0, 1000, 1, b"forged", 0)
    real_seed = log_format.record_seed(PROJECT, 1)
    stolen = log_format.frame(real_seed, 1000, 1, b"stolen", 0)
    wal = new_wal(Files(), tmp_path)
    wal.append(1, os.urandom(64) + hidden + os.urandom(64))
    wal.append(1, os.urandom(64) + stolen + os.urandom(64))  # even with the right checksum
    wal.append(1, b"after")
    wal.close()
    path = tmp_path / names.wal(1)
    whole = bytearray(path.read_bytes())
    whole[64 + 30] ^= 1
    second = bytes(whole).index(b"stolen") - 80
    whole[second] ^= 1
    path.write_bytes(whole)
    rows, report = read_rows(Files(), tmp_path)
    assert b"forged" not in [body for _, _, body in rows]
    assert report.damaged


def test_searching_after_damage_does_not_take_quadratic_time(tmp_path):
    wal = new_wal(Files(), tmp_path)
    fake = log_format.frame(12345, 5, 1, b"", 0)[:24]
    body = bytearray()
    for k in range(40_000):  # every one claims a long payload with a false checksum
        head = bytearray(fake)
        head[16:20] = (1 << 20).to_bytes(4, "little")
        head[22:24] = k.to_bytes(2, "little")
        body += head
    wal.append(1, bytes(body))
    wal.append(1, b"after")
    wal.close()
    path = tmp_path / names.wal(1)
    whole = path.read_bytes()
    rows, _ = read_rows(
        OverlayFiles({str(path): b"\1" + whole[1:64] + b"\1" + whole[65:]}), tmp_path
    )
    assert [body for _, _, body in rows] == [b"after"]


def test_a_missing_file_is_reported(tmp_path):
    write_rows(tmp_path, 12, 3)
    os.remove(tmp_path / names.wal(2))
    rows, report = read_rows(Files(), tmp_path)
    assert rows == expected([1, 2, 3, *range(7, 13)])
    assert report.missing == [2]
    assert not report.clean


def test_a_file_of_another_project_or_number_is_refused(tmp_path):
    write_rows(tmp_path, 4, 2)
    with pytest.raises(Corruption):
        list(read_wal(Files(), tmp_path, 1, project=bytes(16))[0])
    os.replace(tmp_path / names.wal(1), tmp_path / names.wal(2))
    with pytest.raises(Corruption):
        list(read_wal(Files(), tmp_path, 1, project=PROJECT)[0])


def test_a_later_version_is_refused_not_guessed(tmp_path):
    write_rows(tmp_path, 2, 2)
    path = tmp_path / names.wal(1)
    path.write_bytes(log_format.file_header(MAGIC, 2, PROJECT, 1) + path.read_bytes()[64:])
    with pytest.raises(UnsupportedFormat, match="version 2"):
        read_rows(Files(), tmp_path)


def test_nothing_is_overwritten_by_a_wrong_number(tmp_path):
    write_rows(tmp_path, 4, 2)
    with pytest.raises(ValueError, match="overwritten"):
        new_wal(Files(), tmp_path, 2, 5)


@pytest.mark.parametrize("site", range(12))
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failed_sync_poisons_and_acknowledges_nothing(tmp_path, site, code):
    files = FaultyFiles(fail_at(site, code, SYNCS))
    acked, failed = [], None
    wal = new_wal(files, str(tmp_path))
    for _ in range(12):
        try:
            seq = wal.append(1, payload(wal.next_seq))
            wal.sync(seq)
            acked.append(seq)
            if seq % 4 == 0:
                wal.rotate()
        except StorageFailed as error:
            failed = error
            break
    assert failed is not None
    for call in (lambda: wal.append(1, b""), wal.rotate, lambda: wal.sync(wal.next_seq - 1)):
        if call is not wal.rotate and wal.synced_seq == wal.next_seq - 1:
            continue
        with pytest.raises(StorageFailed):
            call()
    with pytest.raises(StorageFailed):
        wal.append(1, b"")
    assert len(files.hits) == 1  # never synced again
    wal.close()
    with pytest.raises(EngineClosed):
        wal.append(1, b"")
    rows, report = read_rows(Files(), str(tmp_path), repair=True)
    assert [seq for seq, _, _ in rows][: len(acked)] == acked
    assert report.clean


@pytest.mark.parametrize("partial", [0, 1, 23, 24, 25, 300])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_refuses_and_goes_on_when_freed(tmp_path, partial, code):
    for site in range(20):
        root = str(tmp_path / str(site))
        plan, free = full_from(site, code, partial)
        files = FaultyFiles(lambda _site, _op: None)
        wal = new_wal(files, root)
        files.plan = plan
        acked, refused = [], 0
        for step in range(20):
            if step == 14:
                free()
            try:
                seq = wal.append(1, payload(wal.next_seq))
                wal.sync(seq)
                acked.append(seq)
                if step % 3 == 2:
                    wal.rotate()
            except StorageFull:
                refused += 1
        wal.close()
        assert refused
        rows, report = read_rows(Files(), root, repair=True)
        assert rows == [(seq, 1, payload(seq)) for seq in acked]  # no seq is lost or used twice
        assert report.clean
        assert not report.torn


def test_a_full_disk_that_cannot_be_cut_back_poisons(tmp_path):
    def plan(_site, op):
        if op.kind == "write" and len(op.data) > 1000:
            return Fault(errno.ENOSPC, 100 if len(op.data) > 2000 else 0)
        return Fault(errno.EIO) if op.kind == "truncate" else None

    files = FaultyFiles(plan)
    wal = new_wal(files, str(tmp_path))
    wal.sync(wal.append(1, b"first"))
    with pytest.raises(StorageFailed):
        wal.append(1, os.urandom(2000))
    with pytest.raises(StorageFailed):
        wal.append(1, b"second")
    wal.close()
    rows, report = read_rows(Files(), str(tmp_path), repair=True)
    assert rows == [(1, 1, b"first")]
    assert report.torn


def test_short_writes_are_completed(tmp_path):
    class Short(FaultyFiles):
        def around(self, op, perform):
            return perform(op.data[:7]) if op.kind == "write" else perform(op.data)

    wal = new_wal(Short(), str(tmp_path))
    for seq in range(1, 8):
        wal.append(1, payload(seq))
    wal.close()
    assert [body for _, _, body in read_rows(Files(), str(tmp_path))[0]] == [
        payload(seq) for seq in range(1, 8)
    ]


def test_an_interrupt_inside_a_write_leaves_no_hole(tmp_path):
    class Interrupted(FaultyFiles):
        armed = True

        def around(self, op, perform):
            if op.kind == "write" and len(op.data) > 500 and self.armed:
                self.armed = False
                perform(op.data[:400])
                raise KeyboardInterrupt
            return perform(op.data)

    wal = new_wal(Interrupted(), str(tmp_path))
    wal.append(1, b"one")
    with pytest.raises(KeyboardInterrupt):
        wal.append(1, os.urandom(600))
    wal.sync(wal.append(1, b"two"))
    wal.close()
    rows, report = read_rows(Files(), str(tmp_path))
    assert rows == [(1, 1, b"one"), (2, 1, b"two")]
    assert not report.damaged


def test_an_interrupt_inside_a_sync_does_not_count_as_one(tmp_path):
    class Interrupted(FaultyFiles):
        armed = False

        def around(self, op, perform):
            if op.kind == "sync" and self.armed:
                self.armed = False
                raise KeyboardInterrupt
            return perform(op.data)

    files = Interrupted()
    wal = new_wal(files, str(tmp_path))
    seq = wal.append(1, b"one")
    files.armed = True
    with pytest.raises(KeyboardInterrupt):
        wal.sync(seq)
    assert wal.synced_seq == 0
    wal.sync(seq)
    assert wal.synced_seq == 1
    wal.close()


def test_many_writers_share_syncs_and_lose_nothing(tmp_path):
    files = FaultyFiles()
    syncs = []
    gate = threading.Event()

    def plan(_site, op):
        if op.kind == "sync":
            syncs.append(op)
        return

    wal = new_wal(files, str(tmp_path))
    wal.sync(wal.append(1, b"0"))
    files.plan = plan
    written = {1: b"0"}

    def work(worker):
        gate.wait()
        for step in range(50):
            body = b"%d-%d" % (worker, step)
            seq = wal.append(1, body)
            written[seq] = body
            wal.sync(seq)
            assert wal.synced_seq >= seq
            if worker == 0 and step % 10 == 9:
                wal.rotate()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    wal.close()
    rows, report = read_rows(Files(), str(tmp_path))
    assert {seq: body for seq, _, body in rows} == written
    assert len(rows) == 301
    assert report.clean
    assert len(syncs) <= 301 + 12


def test_waiters_of_a_failed_sync_all_fail(tmp_path):
    files = FaultyFiles()
    wal = new_wal(files, str(tmp_path))
    first = wal.append(1, b"a")
    wal.sync(first)
    seqs = [wal.append(1, b"b") for _ in range(4)]
    files.plan = fail_at(0, errno.EIO, SYNCS)
    outcomes = []

    def wait(seq):
        try:
            wal.sync(seq)
            outcomes.append("acked")
        except StorageFailed:
            outcomes.append("failed")

    threads = [threading.Thread(target=wait, args=(seq,)) for seq in seqs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["failed"] * 4
    wal.close()


def test_opening_reads_and_cuts_on_a_full_disk(tmp_path):
    write_rows(tmp_path, 5, 9)
    path = tmp_path / names.wal(1)
    path.write_bytes(path.read_bytes()[:-3])
    files = FaultyFiles(full_from(0, errno.ENOSPC)[0])
    rows, report = read_rows(files, str(tmp_path), repair=True)
    assert rows == expected(range(1, 5))
    assert report.torn
    assert report.quarantined == []
    wal = WalWriter(files, str(tmp_path), 2, 5, project=PROJECT)  # makes no file yet
    with pytest.raises(StorageFull):
        wal.append(1, b"x")
    files.plan = lambda _site, _op: None
    wal.sync(wal.append(1, b"x"))
    wal.close()
    rows, _ = read_rows(Files(), str(tmp_path), repair=True)
    assert rows == [*expected(range(1, 5)), (5, 1, b"x")]
