"""A batch as an lz4 block, by way of where its keys stand."""

from zuji.engine.types import U32

def pack_marked(head: bytes, data: bytes | memoryview, mark: U32, first: U32) -> bytes:
    """``head`` and ``data`` as one lz4 block, their length (u32) in front.

    ``mark`` uint32: where keys stand in ``data``, ascending; event i has ``mark[first[i]:first[i+1]]``
    (``first`` uint32[events+1]). Any marks give a valid block; good ones a small one. O(bytes).
    """
