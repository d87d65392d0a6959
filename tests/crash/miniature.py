"""The smallest engine over WAL + manifest: rows by number, flush, compaction, recovery.

It follows the protocol of the real engine: log, sync, acknowledge; segment file to its name and
its directory synced; manifest; only then the log is trimmed and replaced segments are removed.
So a crash test of it shows that log and manifest keep their promises, whatever is built on top.
"""

from __future__ import annotations

import msgpack

from zuji.engine.storage import names
from zuji.engine.storage.codecs import crc32c
from zuji.engine.storage.manifest import Edit, Manifest, ProjectInfo, SegmentMeta
from zuji.engine.storage.wal import WalReport, WalWriter, read_wal

PROJECT = ProjectInfo("crash", bytes(range(16)), "Asia/Shanghai", 4, 1_700_000_000_000, 99)
ROW = 7  # record kind


def payload(seq: int) -> bytes:
    """What row ``seq`` must hold: lengths from 0 to over two sectors, compressible or not."""
    length = (0, 5, 90, 700, 1300)[seq % 5]
    if seq % 2:
        return (b"%06d" % seq) * (length // 6)
    state, out = seq * 2654435761 % 2**32 or 1, bytearray()
    while len(out) < length:
        state = (state * 1103515245 + 12345) % 2**32
        out += (state >> 8).to_bytes(3, "little")
    return bytes(out[:length])


class Miniature:
    """A project of numbered rows. Single-threaded."""

    def __init__(self, files, root: str) -> None:
        self.files, self.root = files, root
        if not files.exists(names.path(root, names.CURRENT)):
            Manifest.create(files, root, PROJECT).close()
        self.manifest = Manifest.open(files, root)
        state = self.manifest.state
        self.rows: dict[int, bytes] = {}
        for meta in state.segments:
            self.rows.update(self._read_segment(meta.file))
        self.logged: dict[int, bytes] = {}
        records, self.report = read_wal(files, root, state.wal_floor, project=PROJECT.uuid)
        for seq, kind, body in records:
            assert kind == ROW
            self.logged[seq] = body
        self.rows.update(self.logged)
        self._remove_orphans()
        self.wal = WalWriter(
            files,
            root,
            max(self.report.last_number, state.wal_floor - 1) + 1,
            max(self.report.last_seq + 1, state.next_seq),
            project=PROJECT.uuid,
        )

    def append(self, *, sync: bool = True) -> int:
        """Log the next row; acknowledged on return when ``sync``."""
        body = payload(self.wal.next_seq)
        seq = self.wal.append(ROW, body)
        self.rows[seq] = self.logged[seq] = body
        if sync:
            self.wal.sync(seq)
        return seq

    def flush(self) -> None:
        """Move the logged rows to a segment."""
        floor = self.wal.rotate()
        state = self.manifest.state
        meta = self._write_segment(state.next_id, self.logged)
        self.manifest.commit(
            Edit(
                add=(meta,),
                wal_floor=floor,
                next_seq=self.wal.next_seq,
                next_id=state.next_id + 1,
                extra_updates={"flushed": [max(self.logged, default=0)]},
            )
        )
        self.logged = {}
        self.wal.trim(floor)

    def compact(self) -> None:
        """Replace all segments by one."""
        state = self.manifest.state
        rows: dict[int, bytes] = {}
        for meta in state.segments:
            rows.update(self._read_segment(meta.file))
        merged = self._write_segment(state.next_id, rows)
        old = state.segments
        self.manifest.commit(
            Edit(
                add=(merged,),
                remove=tuple(meta.id for meta in old),
                next_id=state.next_id + 1,
            )
        )
        for meta in old:
            self.files.remove(names.path(self.root, meta.file))

    def close(self) -> None:
        self.wal.close()
        self.manifest.close()

    def _write_segment(self, number: int, rows: dict[int, bytes]) -> SegmentMeta:
        name = names.segment(number)
        body = msgpack.packb(sorted(rows.items()))
        data = crc32c(body).to_bytes(4, "little") + body
        target = names.path(self.root, name)
        self.files.write_atomic(target, data, names.temporary(target))
        return SegmentMeta(number, name, 0, 0, 0, 0, len(rows), len(data), 0, 0, number)

    def _read_segment(self, name: str) -> dict[int, bytes]:
        data = self.files.read(names.path(self.root, name))
        assert crc32c(data[4:]) == int.from_bytes(data[:4], "little"), name
        return dict(msgpack.unpackb(data[4:]))

    def _remove_orphans(self) -> None:
        known = {meta.file for meta in self.manifest.state.segments}
        for name in self.files.list(names.path(self.root, names.SEGMENT_DIR)):
            if f"{names.SEGMENT_DIR}/{name}" not in known:
                self.files.remove(names.path(self.root, f"{names.SEGMENT_DIR}/{name}"))


def check(
    files, root: str, acked: set[int], mark=lambda _seq: None, seen=lambda _seq: None
) -> WalReport:
    """Open what a crash left: nothing acknowledged is lost, nothing is wrong, work goes on.

    ``mark`` hears of the rows acknowledged meanwhile, ``seen`` of the rows that opening found: a
    client that asks is told that they are there, so from then on they must not go.
    """
    store = Miniature(files, root)
    lost = acked - store.rows.keys()
    assert not lost, f"lost {sorted(lost)}"
    for seq, body in store.rows.items():
        assert body == payload(seq), f"row {seq} changed"
    report = store.report
    before = dict(store.rows)
    for seq in before:
        seen(seq)
    added = store.append()
    mark(added)
    store.flush()
    mark(store.append())
    store.close()
    again = Miniature(files, root)
    assert again.rows == {**before, added: payload(added), added + 1: payload(added + 1)}
    # Torn bytes were cut the first time; damage behind the manifest's floor is gone with its file.
    assert again.report.clean
    assert not again.report.torn
    again.close()
    return report
