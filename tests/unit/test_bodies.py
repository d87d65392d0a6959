"""Compressed bodies: every coding, and bombs stopped before they are unpacked."""

import gzip
import random
import tracemalloc
import zlib

import lz4.frame
import pytest
import zstandard

from zuji.server.collector.body import inflated
from zuji.server.errors import BadBody
from zuji.server.settings import Settings

SETTINGS = Settings(inflated_bytes=1 << 20, body_bytes=1 << 18, bulk_body_bytes=1 << 22)
TEXT = random.Random(7).randbytes(3_000) * 30


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACK = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": lz4.frame.compress,
}


@pytest.mark.parametrize("coding", PACK)
def test_what_was_packed_comes_back(coding):
    assert inflated(PACK[coding](TEXT), coding.upper(), SETTINGS) == TEXT


def test_other_ways_to_pack():
    assert inflated(raw_deflate(TEXT), "deflate", SETTINGS) == TEXT
    assert inflated(gzip.compress(TEXT) + gzip.compress(b"x"), "gzip", SETTINGS) == TEXT + b"x"
    assert inflated(gzip.compress(TEXT) + b"\0\0", "gzip", SETTINGS) == TEXT
    assert inflated(TEXT, "", SETTINGS) == inflated(TEXT, " Identity ", SETTINGS) == TEXT


@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("how", ["cut", "noise"])
def test_broken_bytes_are_an_error(coding, how):
    body = {"cut": PACK[coding](TEXT)[:-9], "noise": b"\x07" * 100}[how]
    with pytest.raises(BadBody) as caught:
        inflated(body, coding, SETTINGS)
    assert caught.value.status == 400


@pytest.mark.parametrize("coding", PACK)
def test_a_body_cut_anywhere_is_an_error(coding):
    whole = PACK[coding](TEXT[:300])
    for end in range(1, len(whole)):
        with pytest.raises(BadBody):
            inflated(whole[:end], coding, SETTINGS)


def test_zstd_frames_follow_each_other():
    frame = PACK["zstd"](b"a")
    skipped = (0x184D2A50).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"xyz"
    assert inflated(frame + skipped + frame, "zstd", SETTINGS) == b"aa"


@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("size", [64 << 20, (1 << 20) - 1])
def test_bombs(coding, size):
    body = PACK[coding](bytes(size))
    tracemalloc.start()
    with pytest.raises(BadBody) as caught:
        inflated(body, coding, SETTINGS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.status == 413
    assert peak < 8 * SETTINGS.inflated_bytes


def test_sizes_and_codings():
    with pytest.raises(BadBody) as caught:
        inflated(bytes(SETTINGS.body_bytes + 1), "", SETTINGS)
    assert caught.value.status == 413
    assert len(inflated(bytes(SETTINGS.body_bytes + 1), "", SETTINGS, bulk=True)) > 0
    with pytest.raises(BadBody) as caught:
        inflated(b"x", "br", SETTINGS)
    assert caught.value.status == 415


@pytest.mark.parametrize("coding", ["gzip", "zstd", "lz4"])
def test_members_and_frames_follow_each_other(coding):
    part = PACK[coding](TEXT[:1000])
    assert inflated(part * 16, coding, SETTINGS) == TEXT[:1000] * 16
    pieces = [PACK[coding](random.Random(i).randbytes(5_000)) for i in range(40)]
    plain = b"".join(random.Random(i).randbytes(5_000) for i in range(40))
    assert inflated(b"".join(pieces), coding, SETTINGS) == plain


SKIPPED = (0x184D2A50).to_bytes(4, "little") + bytes(4)
EMPTY_BLOCKS = PACK["zstd"](b"x")[:6] + bytes(3 * 80_000) + b"\1\0\0"


@pytest.mark.parametrize(
    ("coding", "part"),
    [
        ("gzip", gzip.compress(b"")),
        ("deflate", gzip.compress(b"")),
        ("zstd", PACK["zstd"](b"")),
        ("zstd", SKIPPED),
        ("lz4", lz4.frame.compress(b"")),
    ],
    ids=["gzip", "deflate", "zstd", "skipped", "lz4"],
)
def test_a_body_of_empty_parts_is_refused(coding, part):
    body = part * (SETTINGS.body_bytes // len(part))
    with pytest.raises(BadBody, match="too many parts"):
        inflated(body, coding, SETTINGS)


def test_a_frame_of_empty_blocks_is_refused():
    with pytest.raises(BadBody):
        inflated(EMPTY_BLOCKS, "zstd", SETTINGS)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "lz4", "zstd"])
def test_what_stands_behind_the_end_is_not_dropped_in_silence(coding):
    body = PACK[coding](TEXT[:300]) + b'{"event": "lost"}'
    with pytest.raises(BadBody) as caught:
        inflated(body, coding, SETTINGS)
    assert caught.value.status == 400


def test_raw_deflate_cut_anywhere_is_an_error():
    whole = raw_deflate(TEXT[:300])
    for end in range(1, len(whole)):
        with pytest.raises(BadBody):
            inflated(whole[:end], "deflate", SETTINGS)
