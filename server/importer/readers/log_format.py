r"""nginx's ``log_format`` as a regular expression (RE2), and the names that its variables get here.

Values end where the text after them begins, so two variables must not touch. In quotes, ``\"`` does
not end a value: nginx writes it in ``escape=json``, and ``\x22`` otherwise.
"""

from __future__ import annotations

import re

from zuji.engine.errors import InvalidInput

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" '
    '$status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
KNOWN_FORMATS = {"combined": COMBINED, "main": COMBINED + ' "$http_x_forwarded_for"'}
NAMES = {
    "http_referer": "referrer",
    "http_user_agent": "user_agent",
    "body_bytes_sent": "bytes",
    "bytes_sent": "bytes",
    "uri": "path",
    "document_uri": "path",
    "args": "query",
    "query_string": "query",
    "request_method": "method",
    "server_protocol": "protocol",
}
"""Variable → column, where they differ."""
WHOLE = frozenset({"status", "bytes", "request_length", "connection_requests"})
DECIMAL = frozenset({"request_time"})
TIMES = ("time_local", "time_iso8601", "msec")
ON_REQUEST = frozenset(
    {
        "remote_addr",
        "realip_remote_addr",
        "proxy_protocol_addr",
        "http_x_forwarded_for",
        "http_x_real_ip",
        "http_cookie",
        "http_authorization",
        "remote_user",
        "query",
    }
)
"""Columns that are read only when they are named: addresses, names and secrets of people."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def compiled(log_format: str) -> tuple[str, list[str]]:
    """The expression of a line (its end of line too), and the variables in order.

    :raises InvalidInput: no variables, two that touch, or none that tells the time.
    """
    text = KNOWN_FORMATS.get(log_format, log_format).strip("\r\n")
    pattern, names, at = "^", [], 0
    found = list(_VARIABLE.finditer(text))
    if not found:
        raise InvalidInput(
            f"--log-format is a log_format of nginx or one of {', '.join(KNOWN_FORMATS)}, "
            f"got {log_format!r}"
        )
    for place, match in enumerate(found):
        name = match.group(1) or match.group(2)
        pattern += re.escape(text[at : match.start()])
        at = match.end()
        after = text[at : found[place + 1].start()] if place + 1 < len(found) else text[at:]
        if place + 1 < len(found) and not after:
            raise InvalidInput(f"--log-format: nothing stands between ${name} and what follows it")
        value = _value(after)
        pattern += f"(?:{value})" if name in names else f"(?P<{name}>{value})"
        names += [] if name in names else [name]
    if not any(name in names for name in TIMES):
        raise InvalidInput(f"--log-format has none of {', '.join('$' + t for t in TIMES)}")
    return pattern + re.escape(text[at:]) + r"[ \t]*\r?\n?$", names


def _value(after: str) -> str:
    if not after:
        return ".*?"
    if after[0] == '"':
        return r'(?:[^"\\]|\\.)*'
    return ".*?" if after[0] == " " else f"[^{re.escape(after[0])}]*"


def unescaped(text: str) -> str:
    r"""``\xHH`` of nginx as the bytes they stand for."""
    raw = re.sub(
        rb"\\x([0-9A-Fa-f]{2})", lambda m: bytes.fromhex(m.group(1).decode()), text.encode()
    )
    return raw.decode("utf-8", "replace")
