"""Files of links that earlier releases wrote are read as they were meant."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.golden.links_v1 import FACTS, FIRST, KEYS, NUMBER, OWNER, SAID
from zuji.engine.index.link_files import read_links
from zuji.engine.storage.files import Files

HERE = Path(__file__).parent


@pytest.mark.parametrize(("version", "said"), [(1, []), (2, SAID)])
def test_a_file_of_links_is_read(version, said):
    path = HERE / f"links-v{version}.zlnk"
    assert path.read_bytes()[8] == version
    read = read_links(Files(), str(path))
    raw, cuts = read.data.tobytes(), read.offsets.tolist()
    assert [raw[a:b] for a, b in pairwise(cuts)] == KEYS
    assert (read.owner.tolist(), read.first.tolist()) == (OWNER, FIRST)
    assert read.number.tolist() == NUMBER
    assert (read.facts, read.said) == (FACTS, said)
