"""Page codecs: exact round trips on every instruction set, the documented bytes, hostile pages."""

from __future__ import annotations

import ctypes
import mmap
import struct
from pathlib import Path

import lz4.block
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.errors import Corruption
from zuji.engine.storage import _codecs
from zuji.engine.storage.codecs import (
    CODEC_NAMES,
    PAGE_DTYPE,
    PAGE_RAW_BYTES,
    PAGE_ROWS,
    CodecError,
    crc32c,
    decode_bytes,
    decode_floats,
    decode_ints,
    encode_bytes,
    encode_floats,
    encode_ints,
)

TYPES = (np.uint8, np.uint16, np.uint32, np.int64)
I64_MIN, I64_MAX = -(2**63), 2**63 - 1


@pytest.fixture(params=[0, 1, 2], ids=["baseline", "avx2", "avx512"])
def isa(request):
    """Runs a test on each instruction set that this CPU has."""
    if _codecs.set_isa(request.param, hardware_crc=request.param > 0) != request.param:
        _codecs.set_isa()
        pytest.skip("this CPU does not have it")
    yield request.param
    _codecs.set_isa()


def encode(values, *, ascending=False):
    floats = values.dtype == np.float64
    return encode_floats(values) if floats else encode_ints(values, ascending=ascending)


def decode(data, pages, out, **options):
    (decode_floats if out.dtype == np.float64 else decode_ints)(data, pages, out, **options)


def round_trip(values, *, ascending=False):
    """Encodes, decodes, compares bit for bit; returns (data, pages)."""
    data, pages = encode(values, ascending=ascending)
    out = np.empty_like(values)
    decode(data, pages, out)
    assert out.tobytes() == values.tobytes()
    assert int(pages["length"].sum()) == len(data)
    return data, pages


def codecs_of(pages):
    return [CODEC_NAMES[c] for c in pages["codec"]]


# ---- a second decoder, written from docs/format/page.md alone -----------------------------------


def twin_section(data, n):
    reference, form = struct.unpack_from("<qB", data)
    wide, patched = form % 16, form // 16
    assert patched in (0, 1)
    blocks, whole = (n + 511) // 512, n // 512
    widths = data[9 : 9 + blocks]
    at = 9 + blocks
    bases = [
        int.from_bytes(data[at + b * wide : at + (b + 1) * wide], "little") for b in range(blocks)
    ]
    at += blocks * wide
    counts = [tuple(data[at + 2 * b : at + 2 * b + 2]) for b in range(whole if patched else 0)]
    at += 2 * len(counts)
    values = []
    for b in range(blocks):
        rows, width = min(512, n - 512 * b), widths[b]
        size = (rows * width + 7) // 8
        packed = data[at : at + size]
        at += size
        if rows < 512:
            stream = int.from_bytes(packed, "little")
            offsets = [stream >> (i * width) & ((1 << width) - 1) for i in range(rows)]
        else:
            offsets = twin_vertical(packed, min(width, 32))
            if width > 32:
                high = twin_vertical(packed[2048:], width - 32)
                offsets = [low | h << 32 for low, h in zip(offsets, high, strict=True)]
        values += [reference + bases[b] + offset for offset in offsets]
    rows = []
    for b, (first, second) in enumerate(counts):
        size = first + second if first + second < 64 else 64
        places = data[at : at + size]
        at += size
        if first + second < 64:
            places = [*places[:first], *(256 + place for place in places[first:])]
        else:
            bits = int.from_bytes(places, "little")
            places = [i for i in range(512) if bits >> i & 1]
            assert sum(i < 256 for i in places) == first
        rows += [512 * b + place for place in places]
    if patched:
        assert data[at + 8] < 16
        for row, high in zip(rows, twin_section(data[at:], len(rows)), strict=True):
            values[row] += high << widths[row // 512]
    else:
        assert at == len(data)
    return [(v + 2**63) % 2**64 - 2**63 for v in values]


def twin_vertical(packed, width):
    lanes = []
    for lane in range(16):
        words = [packed[64 * j + 4 * lane : 64 * j + 4 * lane + 4] for j in range(width)]
        lanes.append(int.from_bytes(b"".join(words), "little"))
    return [lanes[i % 16] >> (i // 16 * width) & ((1 << width) - 1) for i in range(512)]


def twin_page(codec, param, data, n):
    """int64 values of one page of an integer stream, slowly."""
    if codec == "CONST":
        return [struct.unpack("<q", data)[0]] * n
    if codec == "FOR":
        return twin_section(data, n)
    if codec == "DELTA":
        values = [struct.unpack_from("<q", data)[0]]
        for step in twin_section(data[8:], n - 1):
            values.append(values[-1] + step)
        return values
    if codec == "DELTA32":
        values = [struct.unpack_from("<q", data)[0]]
        for step in twin_section(data[8:], n - 1):
            values.append((values[-1] + step) % 2**32)
        return values
    if codec == "DICT":
        entries, size = struct.unpack_from("<II", data)
        table = twin_section(data[8 : 8 + size], entries)
        return [table[code] for code in twin_section(data[8 + size :], n)]
    if codec == "RLE":
        runs, size = struct.unpack_from("<II", data)
        values = twin_section(data[8 : 8 + size], runs)
        lengths = twin_section(data[8 + size :], runs)
        return [v for v, k in zip(values, lengths, strict=True) for _ in range(k)]
    base = struct.unpack_from("<q", data)[0]
    raw = (
        data[8:] if codec == "RAW" else lz4.block.decompress(data[8:], uncompressed_size=n * param)
    )
    return [
        (base + int.from_bytes(raw[i * param : (i + 1) * param], "little") + 2**63) % 2**64 - 2**63
        for i in range(n)
    ]


def twin(data, pages):
    values = []
    for entry in pages:
        start = int(entry["offset"])
        page = data[start : start + int(entry["length"])]
        n = int(entry["rows"])
        values += twin_page(CODEC_NAMES[entry["codec"]], int(entry["param"]), page, n)
    return values


# ---- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 15, 511, 512, 513, 1024, 65_535, 65_536, 65_537])
def test_every_width_round_trips(isa, n):
    rng = np.random.default_rng(n)
    for width in (*range(34), 40, 63, 64) if n <= 1024 else (0, 1, 7, 16, 31, 32, 33, 64):
        high = (1 << width) - 1
        wide = rng.integers(0, high, n, dtype=np.uint64, endpoint=True).view(np.int64)
        for kind in TYPES:
            if width <= np.dtype(kind).itemsize * 8:
                round_trip(wide.astype(kind))


@pytest.mark.parametrize("kind", TYPES)
def test_empty_stream(kind):
    data, pages = round_trip(np.empty(0, kind))
    assert data == b""
    assert len(pages) == 0


@pytest.mark.parametrize("n", [2, 600, 70_000])
def test_extremes_of_int64(isa, n):
    values = np.full(n, I64_MIN)
    values[1::2] = I64_MAX
    round_trip(values)
    round_trip(np.sort(values), ascending=True)


@st.composite
def int_streams(draw):
    """Streams that reach every codec: ranges, runs, ascents, patterns, glued together."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        n = draw(st.sampled_from([1, 3, 100, 511, 512, 513, 700, 2_000]))
        width = draw(st.integers(0, 64))
        shape = draw(
            st.sampled_from(["random", "runs", "ascending", "pattern", "few", "skewed", "climbs"])
        )
        values = rng.integers(0, (1 << width) - 1, n, dtype=np.uint64, endpoint=True)
        if shape == "runs":
            values = np.repeat(values[: n // 9 + 1], 9)[:n]
        elif shape == "ascending":
            values = np.cumsum(values >> np.uint64(16), dtype=np.uint64)
        elif shape == "pattern":
            values = np.resize(values[:7], n)
        elif shape == "few":
            values = values[rng.zipf(1.3, n) % min(n, 50)]
        elif shape == "skewed":
            values = values >> rng.integers(0, 64, n, dtype=np.uint64)
        elif shape == "climbs":
            low = values & np.uint64(0xFFFF_FFFF)
            values = np.concatenate([np.sort(part) for part in np.array_split(low, n // 40 + 1)])
        parts.append(values.view(np.int64) + draw(st.integers(-(2**40), 2**40)))
    return np.concatenate(parts)


@settings(max_examples=150, deadline=None)
@given(int_streams(), st.booleans(), st.sampled_from(TYPES))
def test_ints_round_trip_and_agree_with_the_format_page(values, ascending, kind):
    values = values.astype(kind)
    data, pages = round_trip(values, ascending=ascending)
    assert twin(data, pages) == values.tolist()
    for entry, start in zip(pages, range(0, len(values), PAGE_ROWS), strict=True):
        part = values[start : start + PAGE_ROWS]
        assert (entry["min"], entry["max"]) == (part.min(), part.max())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.floats(),
            st.decimals(-(10**6), 10**6, places=2).map(float),
            st.integers(-100, 100).map(float),
            st.sampled_from([-0.0, 0.0, 2.0**53, 2.0**53 + 2, 5e-324, float("nan"), float("-inf")]),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 60),
)
def test_floats_keep_every_bit(values, times):
    array = np.tile(np.array(values, np.float64), times)
    _, pages = round_trip(array)
    low, high = (pages[name][:1].view(np.float64)[0] for name in ("min", "max"))
    assert not (array < low).any()
    assert not (array > high).any()


def test_float_codecs(isa):
    rng = np.random.default_rng(1)
    cents = np.round(rng.lognormal(3, 1, 5_000), 2)
    _, pages = round_trip(cents)
    assert codecs_of(pages) == ["FOR"]
    assert pages["param"].tolist() == [2]
    assert pages["min"].view(np.float64)[0] == cents.min()
    _, pages = round_trip(np.append(cents, -0.0))
    assert pages["param"][0] in (8, 255)
    _, pages = round_trip(np.full(1_000, 0.1 + 0.2))
    assert codecs_of(pages) == ["CONST"]
    assert pages["param"][0] == 255
    _, pages = round_trip(rng.integers(0, 2**64 - 1, 5_000, np.uint64).view(np.float64))
    assert codecs_of(pages) == ["RAW"]
    _, pages = round_trip(np.tile(rng.random(300), 20))
    assert codecs_of(pages) == ["RAW_LZ4"]


def test_the_smallest_codec_is_chosen():
    rng = np.random.default_rng(1)
    assert codecs_of(encode_ints(np.full(900, 7, np.uint32))[1]) == ["CONST"]
    assert codecs_of(encode_ints(rng.integers(0, 900, 900))[1]) == ["FOR"]
    assert codecs_of(encode_ints(np.repeat(rng.integers(0, 900, 90), 50))[1]) == ["RLE"]
    rising = np.cumsum(rng.integers(0, 9, 9_000))
    assert codecs_of(encode_ints(rising, ascending=True)[1]) == ["DELTA"]
    assert codecs_of(encode_ints(rising)[1]) == ["DELTA32"]
    assert codecs_of(encode_ints(rising + 2**32)[1]) == ["FOR"]
    few = rng.integers(0, 2**40, 60)[rng.zipf(1.3, 9_000) % 60]
    assert codecs_of(encode_ints(few)[1]) == ["DICT"]
    pattern = np.tile(rng.integers(0, 2**20, 300), 30)
    assert codecs_of(encode_ints(pattern)[1]) == ["RAW_LZ4"]


def test_delta_falls_back_when_values_do_not_ascend():
    values = np.arange(1_000)[::-1].copy()
    _, pages = round_trip(values, ascending=True)
    assert codecs_of(pages) == ["FOR"]


def test_page_ranges_decode_alone():
    values = np.arange(3 * PAGE_ROWS + 5, dtype=np.uint32) % 1_000
    data, pages = encode_ints(values)
    out = np.empty(PAGE_ROWS + 5, np.uint32)
    decode_ints(data, pages, out, first_page=2)
    assert np.array_equal(out, values[2 * PAGE_ROWS :])
    out = np.empty(PAGE_ROWS, np.uint32)
    decode_ints(np.frombuffer(data, np.uint8), pages, out, first_page=1, last_page=2)
    assert np.array_equal(out, values[PAGE_ROWS : 2 * PAGE_ROWS])
    decode_ints(memoryview(data), pages, np.empty(0, np.uint32), first_page=1, last_page=1)


@pytest.mark.parametrize("size", [0, 1, 1_000, PAGE_RAW_BYTES, PAGE_RAW_BYTES + 1, 600_000])
def test_blobs_round_trip(size):
    noise = np.random.default_rng(size).bytes(size)
    for raw in (noise, b"abc" * (size // 3)):
        data, pages = encode_bytes(raw)
        assert decode_bytes(data, pages) == raw
        assert int(pages["rows"].sum()) == len(raw)


def test_wrong_arguments_are_named():
    values = np.arange(10)
    data, pages = encode_ints(values)
    with pytest.raises(TypeError):
        encode_ints(np.arange(10, dtype=np.int32))
    with pytest.raises(ValueError, match="contiguous"):
        encode_ints(np.arange(20)[::2])
    with pytest.raises(TypeError):
        decode_floats(data, pages, np.empty(10, np.int64))
    with pytest.raises(TypeError):
        decode_ints(data, np.zeros(1, np.int64), np.empty(10, np.int64))
    with pytest.raises(ValueError, match="verify"):
        decode_ints(data, pages, np.empty(10, np.int64), verify=np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="pages 0 to 9"):
        decode_ints(data, pages, np.empty(10, np.int64), last_page=9)
    out = np.empty(10, np.int64)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        decode_ints(data, pages, out)


# ---- the documented bytes -----------------------------------------------------------------------


def test_the_worked_example_of_the_format_page():
    data, pages = encode_ints(np.array([100, 103, 101, 107, 100], np.uint32))
    assert data.hex(" ") == "64 00 00 00 00 00 00 00 00 03 58 0e"
    assert CODEC_NAMES[pages["codec"][0]] == "FOR"
    entry = pages[0].tobytes().hex(" ")
    assert entry == (
        "00 00 00 00 00 00 00 00 0c 00 00 00 05 00 00 00 9e be c3 a3 "
        "01 00 00 00 64 00 00 00 00 00 00 00 6b 00 00 00 00 00 00 00"
    )
    page = (Path(__file__).parents[2] / "docs/format/page.md").read_text(encoding="utf-8")
    assert entry in " ".join(page.split())


def test_the_patched_example_of_the_format_page():
    values = np.zeros(512, np.uint32)
    values[[3, 300]] = 1_000, 7
    data, pages = round_trip(values)
    assert codecs_of(pages) == ["FOR"]
    page = (Path(__file__).parents[2] / "docs/format/page.md").read_text(encoding="utf-8")
    example = page[page.index("A patched section: 512") : page.index("Twenty-seven bytes")]
    shown = [line.split("   ")[0] for line in example.split("```")[1].splitlines()]
    assert " ".join(shown).strip() == data.hex(" ")


def test_directory_entry_is_forty_bytes():
    assert PAGE_DTYPE.itemsize == 40
    assert [PAGE_DTYPE.fields[n][1] for n in PAGE_DTYPE.names] == [0, 8, 12, 16, 20, 21, 22, 24, 32]


def test_crc32c_known_values(isa):
    assert crc32c(b"") == 0
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    noise = np.random.default_rng(1).bytes(100_003)
    for cut in (0, 1, 7, 8, 4_097, 99_999):
        assert crc32c(noise[cut:], crc32c(noise[:cut])) == crc32c(noise)


def test_crc32c_is_the_same_on_every_instruction_set():
    noise = np.random.default_rng(2).bytes(50_021)
    try:
        for size in (*range(70), 1_023, 8_191, 8_192, 24_577, 50_021):
            _codecs.set_isa(hardware_crc=0)
            portable = crc32c(noise[:size])
            _codecs.set_isa()
            assert crc32c(noise[:size]) == portable
    finally:
        _codecs.set_isa()


# ---- hostile pages ------------------------------------------------------------------------------


def skewed(rng, n, outliers, times):
    """Small values but for a few in each 512, which are up to ``times`` larger."""
    values = rng.integers(0, 16, n)
    rows = rng.choice(n, outliers * n // 512, replace=False)
    values[rows] *= rng.integers(2, times, len(rows))
    return values


def samples():
    """Small streams, one or more for each codec and layout."""
    rng = np.random.default_rng(5)
    yield "const", np.full(50, -9), False
    yield "for-tail", rng.integers(0, 1_000, 90).astype(np.uint32), False
    yield "for-block", rng.integers(0, 30, 1_200).astype(np.uint16), False
    yield "for-wide", rng.integers(0, 2**45, 600), False
    yield "delta", np.cumsum(rng.integers(0, 9, 800)).astype(np.uint32), True
    yield "rle", np.repeat(rng.integers(0, 200, 60), 12).astype(np.uint8), False
    yield "lz4", np.tile(rng.integers(0, 2**30, 90), 12), False
    yield "for-patched", skewed(rng, 1_100, 30, 40), False
    yield "for-bitmap", skewed(rng, 1_100, 90, 9_000).astype(np.uint32), False
    yield "for-patched-wide", skewed(rng, 600, 20, 2**22) << 36 | rng.integers(0, 2**36, 600), False
    yield (
        "delta32",
        np.sort(rng.integers(0, 2**32, (3, 300)), axis=1).ravel().astype(np.uint32),
        False,
    )
    yield "delta32-i64", np.sort(rng.integers(0, 2**32, (3, 300)), axis=1).ravel(), False
    yield "dict", rng.integers(0, 2**30, 9)[rng.zipf(1.5, 700) % 9].astype(np.uint32), False
    yield "dict-floats", np.round(rng.random(9) * 1e5, 2)[rng.zipf(1.5, 700) % 9], False
    yield "decimal", np.round(rng.random(80) * 100, 2), False
    yield "float-raw", rng.integers(0, 2**64 - 1, 90, np.uint64).view(np.float64), False
    yield "float-lz4", np.tile(rng.random(60), 20), False


SAMPLES = [pytest.param(v, a, id=name) for name, v, a in samples()]


@pytest.mark.parametrize(("values", "ascending"), SAMPLES)
def test_every_flipped_byte_is_found(values, ascending):
    data, pages = encode(values, ascending=ascending)
    out = np.empty_like(values)
    for at in range(len(data)):
        for bit in (0x01, 0x80):
            broken = bytearray(data)
            broken[at] ^= bit
            with pytest.raises(CodecError) as caught:
                decode(broken, pages, out)
            assert isinstance(caught.value, Corruption)
            assert (caught.value.page, caught.value.offset) == (0, 0)


@pytest.mark.parametrize(("values", "ascending"), SAMPLES)
def test_every_truncation_is_found(values, ascending):
    data, pages = encode(values, ascending=ascending)
    for size in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:size], pages, np.empty_like(values))


class Guarded:
    """Memory that ends where a page without access begins: one byte too far kills the process."""

    def __init__(self, size):
        page = mmap.PAGESIZE
        room = (size + page - 1) // page * page
        self.map = mmap.mmap(-1, room + page)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(address + room), page, 0) == 0
        self.bytes = np.frombuffer(self.map, np.uint8)[room - size : room]


@pytest.mark.parametrize(("values", "ascending"), SAMPLES)
@pytest.mark.parametrize("level", [0, 2])
def test_hostile_bytes_with_a_right_checksum_never_leave_the_page(values, ascending, level):
    """A writer gone wrong signs garbage: the decoder stays inside its bounds all the same."""
    data, pages = encode(values, ascending=ascending)
    rng = np.random.default_rng(7)
    _codecs.set_isa(level)
    out = Guarded(values.nbytes).bytes.view(values.dtype)
    outcomes = set()
    try:
        for at in range(min(len(data), 160)):
            for replacement in (0, 255, data[at] ^ 1, data[at] ^ 128, int(rng.integers(256))):
                broken = bytearray(data)
                broken[at] = replacement
                outcomes.add(attempt(bytes(broken), pages.copy(), out))
        for size in {0, 1, 7, 8, 9, 10, 16, 17, len(data) // 2, len(data) - 1} & set(
            range(len(data))
        ):
            outcomes.add(attempt(data[:size], pages.copy(), out))
        for codec in range(len(CODEC_NAMES) + 2):
            changed = pages.copy()
            changed["codec"] = codec
            outcomes.add(attempt(data, changed, out))
    finally:
        _codecs.set_isa()
    assert "refused" in outcomes


def attempt(data, pages, out):
    """Decodes signed garbage next to forbidden memory."""
    guarded = Guarded(len(data))
    guarded.bytes[:] = np.frombuffer(data, np.uint8)
    pages["length"] = len(data)
    pages["crc"] = crc32c(data)
    try:
        decode(guarded.bytes, pages, out)
    except CodecError:
        return "refused"
    return "decoded"


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 9), st.integers(0, 255), st.integers(1, 1_100), st.binary(max_size=200))
def test_random_bytes_never_leave_the_page(codec, param, rows, data):
    pages = np.zeros(1, PAGE_DTYPE)
    pages["codec"], pages["param"], pages["rows"] = codec, param, rows
    for kind in (*TYPES, np.float64):
        attempt(data, pages, np.empty(rows, kind))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("offset", 2**64 - 1),
        ("offset", 2**63),
        ("offset", 1),
        ("length", 2**32 - 1),
        ("rows", 0),
        ("rows", 89),
        ("rows", 91),
        ("rows", PAGE_ROWS + 1),
        ("rows", 2**32 - 1),
        ("codec", 8),
        ("codec", 255),
        ("min", -1),
        ("max", 2**32),
    ],
)
def test_a_wrong_directory_entry_is_found(field, value):
    values = np.random.default_rng(1).integers(0, 1_000, 90).astype(np.uint32)
    data, pages = encode_ints(values)
    pages[field] = value
    with pytest.raises(CodecError):
        decode_ints(data, pages, np.empty(90, np.uint32))


def test_values_that_do_not_fit_the_output_are_refused():
    data, pages = encode_ints(np.array([0, 70_000]))
    with pytest.raises(CodecError, match="do not fit"):
        decode_ints(data, pages, np.empty(2, np.uint16))


def test_rle_lengths_must_add_up_to_the_rows():
    data, pages = encode_ints(np.repeat(np.arange(40), 30))
    assert codecs_of(pages) == ["RLE"]
    for rows in (1_199, 1_201):
        pages["rows"] = rows
        with pytest.raises(CodecError, match="malformed page"):
            decode_ints(data, pages, np.empty(rows, np.int64))


def test_the_samples_reach_what_they_are_named_for():
    found = {}
    for name, values, ascending in samples():
        data, pages = encode(values, ascending=ascending)
        found[name] = codecs_of(pages)[0], data[8] >> 4 if name.startswith("for") else None
    assert {name: found[name] for name in found if name.startswith("for")} == {
        "for-tail": ("FOR", 0),
        "for-block": ("FOR", 0),
        "for-wide": ("FOR", 0),
        "for-patched": ("FOR", 1),
        "for-bitmap": ("FOR", 1),
        "for-patched-wide": ("FOR", 1),
    }
    assert [found[name][0] for name in ("delta32", "delta32-i64", "dict", "dict-floats")] == [
        "DELTA32",
        "DELTA32",
        "DICT",
        "DICT",
    ]


@pytest.mark.parametrize("outliers", [1, 5, 62, 63, 64, 65, 100, 254, 255, 256, 400])
@pytest.mark.parametrize("bits", [1, 7, 30, 40, 58])
def test_outliers_cost_themselves_only(isa, outliers, bits):
    rng = np.random.default_rng(outliers)
    values = rng.integers(0, 1 << (bits // 8), 512 * 3 + 40)
    for start in (0, 512):
        values[start + rng.choice(512, outliers, replace=False)] |= 1 << bits
    data, pages = round_trip(values)
    assert twin(data, pages) == values.tolist()
    if bits >= 30 and outliers < 64:
        packed = max(bits // 8, bits - 31)  # the bits of a patch must fit 32
        assert len(data) < 1_576 * packed / 8 + 2 * outliers * (1 + bits / 8) + 60


@pytest.mark.parametrize(
    "values", [v for n, v, _ in samples() if n in ("for-patched", "for-bitmap")]
)
def test_patches_must_be_what_their_counts_say(values):
    data, pages = encode(values)
    blocks, whole = (len(values) + 511) // 512, len(values) // 512
    counts = 9 + blocks * (1 + data[8] % 16)
    out = np.empty_like(values)
    assert sum(data[counts : counts + 2 * whole])
    for at in range(counts, counts + 2 * whole):
        for step in (1, 255):
            broken = bytearray(data)
            broken[at] = (broken[at] + step) % 256
            assert attempt(bytes(broken), pages.copy(), out) == "refused"


def test_patches_have_no_patches_themselves():
    data, pages = encode(skewed(np.random.default_rng(5), 1_100, 30, 40))
    highs = max(at for at in range(9, len(data) - 9) if data[at : at + 8] == b"\1" + bytes(7))
    broken = bytearray(data)
    broken[highs + 8] |= 16
    assert attempt(bytes(broken), pages, np.empty(1_100, np.int64)) == "refused"


def test_codes_must_be_in_their_dictionary():
    """Nine entries, codes of four bits: 9 to 15 fit the code but not the table."""
    rng = np.random.default_rng(3)
    values = rng.integers(0, 2**30, 9)[rng.integers(0, 9, 700)]
    data, pages = encode_ints(values)
    assert codecs_of(pages) == ["DICT"]
    at = 8 + struct.unpack_from("<II", data)[1] + 9 + 2
    outcomes = set()
    for code in range(16):
        broken = bytearray(data)
        broken[at + (data[8 + struct.unpack_from("<II", data)[1] + 8] % 16) * 2] = code
        outcomes.add((code, attempt(bytes(broken), pages.copy(), np.empty(700, np.int64))))
    assert outcomes >= {(15, "refused"), (0, "decoded")}


def test_lz4_pages_must_have_the_promised_size():
    for raw in (b"x" * 399, b"x" * 401):
        data = bytes(8) + lz4.block.compress(raw, store_size=False)
        pages = np.zeros(1, PAGE_DTYPE)
        pages["codec"], pages["param"], pages["rows"] = 4, 4, 100
        assert attempt(data, pages, np.empty(100, np.int64)) == "refused"


def test_a_page_is_checksummed_once_per_mapping():
    values = np.random.default_rng(1).integers(0, 1_000, 2 * PAGE_ROWS)
    data, pages = encode_ints(values)
    verify = np.zeros(2, np.uint8)
    out = np.empty(PAGE_ROWS, np.int64)
    decode_ints(data, pages, out, last_page=1, verify=verify)
    assert verify.tolist() == [1, 0]
    broken = bytearray(data)
    broken[200] ^= 1
    broken[-1] ^= 1
    decode_ints(broken, pages, out, last_page=1, verify=verify)
    with pytest.raises(CodecError) as caught:
        decode_ints(broken, pages, out, first_page=1, verify=verify)
    assert (caught.value.page, caught.value.offset) == (1, int(pages["offset"][1]))
    assert verify.tolist() == [1, 0]


def test_blobs_find_flips_and_wrong_sizes():
    raw = b"city=Shanghai;" * 40
    data, pages = encode_bytes(raw)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 4
        with pytest.raises(CodecError, match="checksum"):
            decode_bytes(bytes(broken), pages)
    for rows in (0, len(raw) - 1, len(raw) + 1, PAGE_RAW_BYTES + 1):
        pages["rows"] = rows
        with pytest.raises(CodecError):
            decode_bytes(data, pages)
