"""The rows of ``segment-v1.zseg``: every kind, gaps, ties, the three forms of receive times, both
forms of days.

``python -m tests.golden.segment_v1`` writes the file anew; only for a version that no release has
written yet.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.property.segment_rows import END, START, TZ, Row, frame_of
from zuji.engine.storage.files import Files
from zuji.engine.storage.segment_writer import write_frame

PATH = Path(__file__).parent / "segment-v1.zseg"
HOUR = 3_600_000
TEXTS = ("", "a", "济南", "a\0b", "é" * 30)


def rows() -> list[Row]:
    """Rows by arithmetic alone, so that they never change."""
    held = []
    for i in range(8_400):  # dense days: bitmaps
        time = START + (i % 31 * 24 + i // 31 % 5) * HOUR
        held.append(Row("view", i // 31, time, time + 500 + i % 97 * 100))
    held += [  # sparse days: lists; few receive times
        Row("open", i * 500_003 % 2**22, START + (i * 11 % 700) * HOUR, END + i % 3)
        for i in range(8_200)
    ]
    for i in range(60):
        props: dict[str, Any] = {"city": TEXTS[i % 5]}
        if i % 2:
            props |= {"amount": i * 1.25, "flag": i % 3 == 0, "tags": list(TEXTS[: i % 4])}
        if i % 5 == 0:
            props |= {"count": (-1) ** i * (i << 40), "due": START - i * HOUR, "page": f"/{i}"}
        if i == 31:
            props["amount"] = 0.1 + 0.2
        held.append(Row("buy", i // 4 % 3, START + i // 8 * 60_000 + i // 12, END, 0, props))
    return held


def main() -> None:
    """Writes the file."""
    write_frame(Files(), str(PATH.parent), frame_of(rows()), tz=TZ, new_file=lambda: (1, PATH.name))
    print(PATH, os.path.getsize(PATH))


if __name__ == "__main__":
    main()
