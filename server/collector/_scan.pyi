"""A plain request that lies whole in the bytes of one read. Pure; thread-safe."""

def scan(
    data: bytes, start: int, max_target: int, max_fields: int, max_head: int, max_body: int
) -> tuple[str, str, bytes, dict[bytes, bytes], bytes, int] | None:
    """The request that begins at ``start``: method, path, query, header, body, and where it ends.

    None: it is not whole, or not of the plain kind, or beyond a limit: bytes of the target, fields,
    bytes of the fields, bytes of the body. O(bytes of the request).
    """
