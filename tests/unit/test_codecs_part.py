"""Some rows of a page: what decoding the whole page gives there, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_codecs import (
    SAMPLES,
    TYPES,
    Guarded,
    codecs_of,
    decode,
    encode,
    int_streams,
    isa,
)
from zuji.engine.storage import _codecs
from zuji.engine.storage.codecs import CODEC_NAMES, PAGE_ROWS, CodecError, crc32c, decode_part

__all__ = ["isa"]


def ranges(n, rng):
    """Rows of a page: its ends, the ends of blocks, and some of anywhere."""
    yield from {(0, n), (0, 1), (n - 1, n), (n, n), (n // 2, n // 2)}
    for edge in range(512, n, 512):
        yield from {(edge - 1, min(edge + 1, n)), (edge, min(edge + 512, n))}
    for _ in range(20):
        yield tuple(np.sort(rng.integers(0, n + 1, 2)).tolist())


@pytest.mark.parametrize(("values", "ascending"), SAMPLES)
def test_any_rows_of_every_codec(isa, values, ascending):
    data, pages = encode(values, ascending=ascending)
    flags = np.zeros(len(pages), np.uint8)
    for start, stop in ranges(len(values), np.random.default_rng(3)):
        found = decode_part(data, pages, 0, start, stop, values.dtype, verify=flags)
        assert found.dtype == values.dtype
        assert found.tobytes() == values[start:stop].tobytes(), (start, stop)
    assert flags.tolist() == [1]


@settings(max_examples=150, deadline=None)
@given(int_streams(), st.booleans(), st.sampled_from(TYPES), st.integers(0, 99))
def test_any_rows_of_any_stream(values, ascending, kind, seed):
    values = values.astype(kind)
    data, pages = encode(values, ascending=ascending)
    for start, stop in ranges(len(values), np.random.default_rng(seed)):
        found = decode_part(data, pages, 0, start, stop, kind)
        assert found.tolist() == values[start:stop].tolist(), codecs_of(pages)


def test_rows_of_the_second_page():
    values = np.random.default_rng(4).integers(0, 2**20, PAGE_ROWS + 700)
    data, pages = encode(values)
    assert decode_part(data, pages, 1, 500, 700, np.int64).tolist() == values[-200:].tolist()
    with pytest.raises(CodecError, match="number of rows"):
        decode_part(data, pages, 1, 500, 701, np.int64)
    with pytest.raises(ValueError, match="page 2 of 2"):
        decode_part(data, pages, 2, 0, 1, np.int64)
    with pytest.raises(ValueError, match="rows 3 to 2"):
        decode_part(data, pages, 0, 3, 2, np.int64)


def test_damage_anywhere_in_the_page_is_found():
    data, pages = encode(np.random.default_rng(4).integers(0, 2**20, 5_000))
    broken = bytearray(data)
    broken[-1] ^= 1
    with pytest.raises(CodecError, match="checksum"):
        decode_part(bytes(broken), pages, 0, 0, 1, np.int64)
    for field, value in (("offset", 2**63), ("length", 2**32 - 1), ("rows", 0), ("codec", 9)):
        wrong = pages.copy()
        wrong[field] = value
        with pytest.raises(CodecError):
            decode_part(data, wrong, 0, 0, 1, np.int64)
    with pytest.raises(CodecError, match="do not fit"):
        decode_part(data, pages, 0, 0, 1, np.uint16)


@pytest.mark.parametrize(("values", "ascending"), SAMPLES)
def test_hostile_bytes_with_a_right_checksum_never_leave_the_page(values, ascending):
    """Next to forbidden memory; what the whole page decodes to, a part of it does."""
    data, pages = encode(values, ascending=ascending)
    rng = np.random.default_rng(7)
    outcomes = set()
    for at in range(min(len(data), 160)):
        for replacement in (0, 255, data[at] ^ 1, data[at] ^ 128, int(rng.integers(256))):
            broken = bytearray(data)
            broken[at] = replacement
            outcomes.add(attempt(bytes(broken), pages.copy(), values.dtype, rng))
    for codec in range(len(CODEC_NAMES) + 2):
        changed = pages.copy()
        changed["codec"] = codec
        outcomes.add(attempt(data, changed, values.dtype, rng))
    assert "refused" in outcomes


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 9), st.integers(0, 255), st.integers(1, 1_100), st.binary(max_size=200))
def test_random_bytes_never_leave_the_page(codec, param, rows, data):
    _, pages = encode(np.arange(3))
    pages["codec"], pages["param"], pages["rows"] = codec, param, rows
    pages["min"] = pages["max"] = 0
    for kind in (*TYPES, np.float64):
        attempt(data, pages, kind, np.random.default_rng(rows))


def attempt(data, pages, kind, rng):
    guarded = Guarded(len(data))
    guarded.bytes[:] = np.frombuffer(data, np.uint8)
    pages["length"] = len(data)
    pages["crc"] = crc32c(data)
    rows = int(pages["rows"][0])
    whole = np.empty(rows, kind)
    try:
        decode(guarded.bytes, pages, whole)
    except CodecError:
        whole = None
    start, stop = np.sort(rng.integers(0, rows + 1, 2)).tolist()
    for a, b in ((0, rows), (start, stop)):
        try:
            found = decode_part(guarded.bytes, pages, 0, a, b, kind)
        except CodecError:
            assert whole is None
            return "refused"
        assert whole is None or found.tobytes() == whole[a:b].tobytes()
    return "decoded"


def test_the_native_part_names_wrong_arguments():
    data, pages = encode(np.arange(9))
    with pytest.raises(TypeError, match="float32"):
        _codecs.decode_part(data, pages, 0, 0, 1, np.float32)
    with pytest.raises(ValueError, match="one flag a page"):
        _codecs.decode_part(data, pages, 0, 0, 1, np.int64, np.zeros(2, np.uint8))
