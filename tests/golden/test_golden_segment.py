"""Segments of every released version stay readable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.golden import segment_v1, segment_v1_any
from tests.property.segment_rows import check
from zuji.engine.errors import UnsupportedFormat
from zuji.engine.storage.codecs import crc32c
from zuji.engine.storage.files import Files
from zuji.engine.storage.format import DAY_BITMAP, DAY_LIST
from zuji.engine.storage.segment import Segment

if TYPE_CHECKING:
    from pathlib import Path


def test_version_1_answers_its_rows() -> None:
    segment = Segment(Files(), str(segment_v1.PATH))
    check(segment, segment_v1.rows())
    assert list(segment.scrub()) == []


def test_version_1_without_any_event_still_answers_it() -> None:
    """Written before ``any_days``: days of all events serve, users are joined."""
    segment = Segment(Files(), str(segment_v1.PATH))
    assert segment.footer.any_days == segment.footer.any_all == -1
    assert segment.index is not None
    users = sorted({row.ordinal for row in segment_v1.rows()})
    assert segment.user_list().tolist() == users
    assert segment.user_count == len(users)


def test_any_event_is_stored_without_profile_records() -> None:
    segment = Segment(Files(), str(segment_v1_any.PATH))
    check(segment, segment_v1_any.rows())
    assert list(segment.scrub()) == []
    assert segment.footer.days == -1
    assert segment.footer.any_days >= 0
    assert segment.everybody is not None
    users = sorted({row.ordinal for row in segment_v1.rows()})
    assert segment.everybody.user_list(0).tolist() == segment.user_list().tolist() == users
    assert segment.everybody.rows.tolist() == [len(segment_v1.rows())]
    assert segment.user_count == len(users)


def test_version_1_holds_every_form() -> None:
    """The file is worth keeping only if it has one of everything."""
    segment = Segment(Files(), str(segment_v1.PATH))
    runs = {run.event: run for run in segment.footer.runs}
    assert sorted(run.received.mode for run in runs.values()) == [0, 1, 2]
    assert runs["view"].time_unit == 3_600_000
    assert runs["buy"].time_unit == 1
    assert runs["buy"].ties[1]
    assert runs["buy"].days == -1
    assert DAY_BITMAP in segment.file.day_table(runs["view"].days)["form"].tolist()
    assert set(segment.file.day_table(runs["open"].days)["form"].tolist()) == {DAY_LIST}
    assert {prop.kind for prop in segment.footer.props} == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("at", [8, 12, 20], ids=["version", "flags", "key id"])
def test_what_this_release_cannot_read_is_named(at: int, tmp_path: Path) -> None:
    raw = bytearray(segment_v1.PATH.read_bytes())
    raw[at] = 9
    raw[60:64] = int(crc32c(bytes(raw[:60]))).to_bytes(4, "little")
    path = tmp_path / "newer.zseg"
    path.write_bytes(raw)
    with pytest.raises(UnsupportedFormat, match="version"):
        Segment(Files(), str(path))


@pytest.mark.parametrize("seed", range(4))
def test_sampled_flips_are_found_or_harmless(seed: int, tmp_path: Path) -> None:
    """One flipped bit in each of 60 places: the checks of scrub find it, or nothing has changed."""
    good = segment_v1.PATH.read_bytes()
    segment = Segment(Files(), str(segment_v1.PATH))
    covered = np.zeros(len(good), bool)
    covered[:64] = True
    covered[segment.footer.pages_offset :] = True
    for page in segment.file.page_table():
        covered[int(page["offset"]) : int(page["offset"]) + int(page["length"])] = True
    random = np.random.default_rng(seed)
    path = tmp_path / "flipped.zseg"
    for at in random.integers(0, len(good), 60).tolist():
        raw = bytearray(good)
        raw[at] ^= 1 << int(random.integers(8))
        path.write_bytes(raw)
        assert found(path) == bool(covered[at]), f"seed {seed}, byte {at}"


def found(path: Path) -> bool:
    """Whether opening or scrubbing finds damage."""
    from zuji.engine.errors import Corruption

    try:
        return bool(list(Segment(Files(), str(path)).scrub()))
    except (Corruption, UnsupportedFormat):
        return True
