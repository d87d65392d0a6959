"""What the golden files of links say. ``links-v1.zlnk`` was written before there was a version 2,
``links-v2.zlnk`` by ``python -m tests.golden.links_v1 FOLDER 2``. Nobody writes them anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from zuji.engine.index.link_files import LinkFile, write_links
from zuji.engine.storage.files import Files

KEYS = [b"dphone", b"d$identity_mobile+13800000000", b"d0b1a2c3d-0000-4000-8000-00000000000a"]
OWNER = [3, (2 << 32) | 7, 0]
FIRST = [1_790_784_000_000, -5, 0]
NUMBER = [1, 2, 2]
FACTS: list[dict[str, Any]] = [
    {
        "key": "dn\u00e9e".encode(),
        "number": 4,
        "pairs": [[3, [1, 5], [2], None], [4, [9], [], 8]],
        "apart": [7],
        "every": True,
        "before": [[3, 4]],
    }
]
SAID: list[dict[str, Any]] = [
    {
        "n": 12,
        "received_ms": 1_790_784_000_001,
        "what": "bind",
        "user_id": "ann",
        "device_id": "phone",
        "time": 5,
        "by": None,
        "why": "a form",
    }
]


def content(said: list[dict[str, Any]]) -> LinkFile:
    """The file's content."""
    offsets = np.cumsum([0, *map(len, KEYS)]).astype(np.int64)
    columns = [np.array(one, np.int64) for one in (OWNER, FIRST, NUMBER)]
    held = {"said": said} if said else {}
    return LinkFile(np.frombuffer(b"".join(KEYS), np.uint8), offsets, *columns, FACTS, **held)


if __name__ == "__main__":
    folder, version = Path(sys.argv[1]), int(sys.argv[2])
    write_links(Files(), str(folder / f"links-v{version}.zlnk"), content(SAID[: version - 1]))
