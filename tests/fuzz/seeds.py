"""First inputs of targets: valid ones, made by the encoders, so that mutation starts inside."""

from __future__ import annotations

import gzip
from base64 import b64encode
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def batch() -> Iterator[bytes]:
    """Batches in all three forms."""
    from tests.differential.random_batches import random_batch
    from tests.differential.wire import write
    from tests.differential.wire_json import write_json, write_lines

    for seed in range(60):
        rng = Random(seed)
        made = random_batch(rng)
        yield write(made, rng)
        yield write_json(made, rng)
        if isinstance(made, list):
            yield write_lines(made, rng)


def pages() -> Iterator[bytes]:
    """Pages of every codec and type, short ones."""
    import numpy as np

    from zuji.engine.storage._codecs import PageEncoder

    rng = np.random.default_rng(5)
    encoder = PageEncoder()
    kinds = (np.uint8, np.uint16, np.uint32, np.int64, np.float64)
    for number, kind in enumerate(kinds):
        for n in (1, 2, 100, 513, 1000):
            for values in (
                np.full(n, 7),
                rng.integers(0, 200, n),
                np.sort(rng.integers(0, 200, n)),
                np.repeat(rng.integers(0, 200, n), 8)[:n],
                np.where(rng.random(n) < 0.02, 120, rng.integers(0, 4, n)),
                rng.integers(0, 3, n) * 60,
            ):
                for ascending in (False, True):
                    codec, param, data, _, _ = encoder.encode(
                        np.ascontiguousarray(values.astype(kind)), ascending
                    )
                    scale = min(param, 5)
                    head = bytes((codec, number + 5 * scale))
                    yield head + (n - 1).to_bytes(2, "little") + data


def texts() -> Iterator[bytes]:
    """Lists of texts that share beginnings."""
    rng = Random(3)
    for _ in range(20):
        parts = []
        for _ in range(rng.randrange(1, 40)):
            text = rng.choice(["", "a", "city-", "/page/one/"]) * rng.randrange(3)
            text += str(rng.randrange(20))
            parts.append(bytes((len(text),)) + text.encode())
        yield b"".join(parts)


_RECORD = (
    '"distinct_id":"u","lib":{"$lib":"js","$lib_version":"1.27"},"time":1790827200000,'
    '"identities":{"$identity_login_id":"u","$identity_cookie_id":"c"},"_track_id":123456789,'
    '"_flush_time":1790827201000,"login_id":"u","anonymous_id":"c","time_free":true'
)
_PROPERTIES = (
    '"n":1,"f":2.5,"text":"济南\\n","when":"2026-10-01 12:00:05.6","day":"2026-10-01","list":["a"],'
    '"numbers":[1,2],"nested":{"a":[{}]},"none":null,"$is_login_id":true,"$time":"x","ok":true'
)


def sensors() -> Iterator[bytes]:
    """A record of each type, alone and in lists, and forms with them."""
    kinds = ("track", "track_signup", "track_id_bind", "track_id_unbind", "profile_set")
    kinds += ("profile_set_once", "profile_increment", "profile_append", "profile_unset")
    kinds += ("profile_delete", "item_set", "item_delete", "detail_set", "detail_delete")
    records = []
    for kind in kinds:
        more = '"event":"pay",' if kind.startswith("track") else ""
        more += '"item_type":"t","item_id":"i",' if "item" in kind or "detail" in kind else ""
        record = f'{{"type":"{kind}",{more}{_RECORD},"properties":{{{_PROPERTIES}}}}}'.encode()
        records.append(record)
        yield record
        yield b"data=" + b64encode(record) + b"&ext=crc%3D1"
    yield b"[" + b", ".join(records[:3]) + b"]"
    yield b"data_list=" + quote_from_bytes(b64encode(b"[" + records[0] + b"]")).encode()


def plain() -> Iterator[bytes]:
    """The usual requests: pixels and forms, alone and one after the other."""
    yield b"\2data=H4sI"  # found: shorter than any gzip
    for record in sensors():
        if record.startswith(b"data"):
            continue
        packed = b64encode(record)
        text = quote_from_bytes(packed).encode()
        code = 0
        for char in packed:
            code = (31 * code + char) & 0xFFFFFFFF
        form = b"crc=%d&data_list=%b" % (code, text)
        pixel = b"data=%b&ext=crc%%3D%d&token=t" % (text, code)
        yield b"\0" + form
        yield b"\2" + pixel
        zipped = quote_from_bytes(b64encode(gzip.compress(record, mtime=0))).encode()
        yield b"\0gzip=1&data_list=" + zipped
        get = b"GET /sa.gif?%b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n" % pixel
        post = b"POST /sa?token=t HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
        yield b"\1" + get
        yield b"\1" + get + post % (len(form), form) + get


SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "batch": batch,
    "pages": pages,
    "texts": texts,
    "sensors": sensors,
    "plain": plain,
}
