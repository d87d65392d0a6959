"""The rows of ``segment-v1-any.zseg``: those of ``segment-v1.zseg`` beside profile records, with
any event stored.

``python -m tests.golden.segment_v1_any`` writes the file anew; only for a version that no release
has written yet.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.golden import segment_v1
from tests.property.segment_rows import END, START, TZ, Row, frame_of
from zuji.engine.storage.files import Files
from zuji.engine.storage.segment_writer import write_frame

PATH = Path(__file__).parent / "segment-v1-any.zseg"


def rows() -> list[Row]:
    """Rows by arithmetic alone, so that they never change."""
    records = [
        Row("$profile_set", i * 13, START + i * segment_v1.HOUR, END, 0, {"city": "济南"})
        for i in range(40)
    ]
    return segment_v1.rows() + records


def main() -> None:
    """Writes the file."""
    write_frame(Files(), str(PATH.parent), frame_of(rows()), tz=TZ, new_file=lambda: (1, PATH.name))
    print(PATH, os.path.getsize(PATH))


if __name__ == "__main__":
    main()
