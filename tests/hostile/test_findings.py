"""What fuzzing found and a corpus cannot hold, because it depends on more than bytes."""

import json

import pytest

from zuji.engine.errors import Corruption
from zuji.engine.quarantine import read_quarantine, write_quarantine
from zuji.engine.storage.codecs import crc32c
from zuji.engine.storage.files import Files
from zuji.server.collector.message import json_answer, problem

HALF = b"\xb9".decode("utf-8", "surrogateescape")


def test_an_answer_can_give_half_a_character_back():
    answer = json_answer({"results": {HALF: {"result": "ok"}}})
    assert json.loads(answer.body) == {"results": {HALF: {"result": "ok"}}}
    assert json.loads(problem(400, "bad", HALF).body)["error"]["message"] == HALF


@pytest.mark.parametrize(
    "record", [b"\xff\xff\xff\x7f\x00", b"", b"\x01\0\0\0\x10\xc0", b"\x05\0\0\0\x50hello"]
)
def test_a_quarantine_record_that_makes_no_sense_is_corruption(tmp_path, record):
    path = str(tmp_path / "1.rejected")
    write_quarantine(Files(), path, [])
    head = bytearray(Files().read(path))
    head[12:16] = (1).to_bytes(4, "little")
    head[16:20] = crc32c(bytes(head[:16])).to_bytes(4, "little")
    crc = crc32c(record).to_bytes(4, "little")
    data = bytes(head) + len(record).to_bytes(4, "little") + crc + record
    (tmp_path / "1.rejected").write_bytes(data)
    with pytest.raises(Corruption) as caught:
        list(read_quarantine(Files(), path))
    assert caught.value.offset == 20
