"""Files of numbers of tags that earlier releases wrote: form 1 without slices, form 2 with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from zuji.engine.people.blob import Blob
from zuji.engine.people.tags.format import column_of, known_of, sections_of
from zuji.engine.storage.files import Files
from zuji.engine.types import Kind

HERE = Path(__file__).parent
INTS = [[5, None, -7, 2**53 + 1, 0], None, [5, 5]]
FLOATS = [[0.5, -1e300, 0.0]]


def told(column):
    if column is None:
        return None
    has = [1] * column.rows if column.present is None else column.present.tolist()
    return [v if one else None for v, one in zip(column.values.tolist(), has, strict=True)]


@pytest.mark.parametrize("form", [1, 2])
@pytest.mark.parametrize(("kind", "shards"), [(Kind.INT, INTS), (Kind.FLOAT, FLOATS)])
def test_numbers_are_read(kind, shards, form):
    blob = Blob(Files(), str(HERE / f"tag-{kind.label}-v{form}.zblob"), 1)
    assert blob.meta["form"] == form
    columns = [column_of(blob, kind, shard) for shard in range(len(shards))]
    assert [told(column) for column in columns] == shards
    assert known_of(blob) == sum(v is not None for shard in shards for v in shard or ())
    for column in columns:
        assert column is None or (column.slices is not None) == (form == 2)


@pytest.mark.parametrize(("kind", "shards"), [(Kind.INT, INTS), (Kind.FLOAT, FLOATS)])
def test_what_is_written_of_form_1_is_form_2_byte_by_byte(kind, shards):
    one, two = (Blob(Files(), str(HERE / f"tag-{kind.label}-v{n}.zblob"), 1) for n in (1, 2))
    columns = [column_of(one, kind, shard) for shard in range(len(shards))]
    sections, meta = sections_of(kind, columns, one.meta["users"])
    assert meta == two.meta
    assert sections == [bytes(two.section(i)) for i in range(two.sections)]
