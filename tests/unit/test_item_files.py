"""Item files: the page's example, and every kind of damage."""

from __future__ import annotations

import pytest

from tests.unit.format_page import example
from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.items import files as item_files
from zuji.engine.items.record import ItemRecord
from zuji.engine.storage.files import Files
from zuji.engine.types import Kind

FILES = Files()
ONE = ItemRecord("product", "p1", 1_790_784_000_000, {"price": (Kind.INT, 3)})


def read(path, expected):
    return list(item_files.read_items(FILES, str(path), expected))


def test_the_example_of_the_page_is_what_is_written_and_read(tmp_path):
    path = tmp_path / "00000001.zitm"
    path.write_bytes(example("items.md"))
    assert read(path, 1) == [ONE]
    item_files.write_items(FILES, str(tmp_path / "again"), [ONE])
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_many_records_come_back_in_order(tmp_path):
    records = [
        ItemRecord("t", f"i{n}", n, None if n % 3 else {"l": (Kind.LIST, ["a", "中"])})
        for n in range(2 * item_files.BLOCK_RECORDS + 1)
    ]
    item_files.write_items(FILES, str(tmp_path / "f"), records)
    assert read(tmp_path / "f", len(records)) == records
    item_files.write_items(FILES, str(tmp_path / "empty"), [])
    assert read(tmp_path / "empty", 0) == []


def test_every_flipped_byte_and_every_cut_is_found(tmp_path):
    path = tmp_path / "f"
    whole = example("items.md")
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises((Corruption, UnsupportedFormat)):
            read(path, 1)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(Corruption):
            read(path, 1)
    path.write_bytes(whole + b"\0")
    with pytest.raises(Corruption):
        read(path, 1)
    path.write_bytes(whole)
    with pytest.raises(Corruption):
        read(path, 2)
