"""The worked example of docs/format/segment.md is what the writer writes and the reader reads."""

from __future__ import annotations

import re
from pathlib import Path

from tests.property.segment_rows import Row, frame_of
from zuji.engine.storage.files import Files
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.segment_writer import write_frame

PAGE = Path(__file__).parents[2] / "docs/format/segment.md"
START = 1_759_276_800_000


def example() -> bytes:
    """Bytes of the hex dump; ``*`` stands for lines that repeat the line before."""
    block = PAGE.read_text().split("## Worked example")[1].split("```")[1]
    raw = bytearray()
    for line in block.strip().splitlines():
        found = re.match(r"([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)", line)
        assert found, line
        at = int(found[1], 16)
        while len(raw) < at:
            raw += raw[-16:]
        raw += bytes.fromhex(found[2])
    return bytes(raw)


def test_the_example_is_what_the_writer_writes(tmp_path: Path) -> None:
    frame = frame_of([Row("e", 5, START + 1, 7)])
    write_frame(Files(), str(tmp_path), frame, tz="UTC", new_file=lambda: (1, "x.zseg"))
    assert (tmp_path / "x.zseg").read_bytes() == example()


def test_the_example_reads_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "x.zseg").write_bytes(example())
    segment = Segment(Files(), str(tmp_path / "x.zseg"))
    run = segment.runs["e"]
    assert [a.tolist() for a in run.users()] == [[5], [0, 1]]
    assert run.times().tolist() == [1]
    assert run.received().tolist() == [7]
    assert run.base_ms == START
