"""The worked example of a format page, as bytes."""

from __future__ import annotations

import re
from pathlib import Path

PAGES = Path(__file__).resolve().parents[2] / "docs" / "format"


def example(page: str) -> bytes:
    """Bytes of the hex dump under "Example" of ``docs/format/<page>``."""
    text = (PAGES / page).read_text(encoding="utf-8")
    block = text.split("## Example", 1)[1].split("```")[1]
    raw = bytearray()
    for line in block.strip().splitlines():
        found = re.fullmatch(r"([0-9a-f]+)  ((?:[0-9a-f]{2} ?)+)", line)
        assert found, line
        assert int(found[1], 16) == len(raw)
        raw += bytes.fromhex(found[2])
    return bytes(raw)
