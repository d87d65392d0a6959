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
