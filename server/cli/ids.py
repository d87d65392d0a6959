"""Ids as people type them: of a typed id the short name of its type will do, ``mobile`` for
``$identity_mobile``, as ``--id mobile`` beside an id or a file of ids, or ``--id mobile=138…``.
"""

from __future__ import annotations

import re
from typing import Final

from zuji.engine.errors import InvalidInput
from zuji.engine.types import TYPED_ID

_NAME: Final = re.compile(r"[A-Za-z][\w.-]{0,99}")
_NEARLY: Final = {
    "user": "user_id",
    "userid": "user_id",
    "uid": "user_id",
    "device": "device_id",
    "deviceid": "device_id",
}
"""Not taken for the name of a typed id."""


def id_type(said: str) -> str:
    """``user_id``, ``device_id`` or ``$identity_…``.

    :raises InvalidInput: it is no type of id.
    """
    if said in ("user_id", "device_id") or said.startswith(TYPED_ID):
        return said
    meant = _NEARLY.get(re.sub("[-_ ]", "", said).lower())
    if meant is not None:
        raise InvalidInput(f"there is no type of id {said!r}; did you mean {meant}?")
    if _NAME.fullmatch(said) is None:
        raise InvalidInput(f"a type of id is user_id, device_id or, say, mobile, got {said!r}")
    return TYPED_ID + said


def person(said: str) -> dict[str, str]:
    """Whom ``mobile=138…`` names.

    :raises InvalidInput: it names nobody.
    """
    kind, equals, value = said.partition("=")
    if not equals:
        raise InvalidInput(f"--id is TYPE=ID, as mobile=138…, got {said!r}")
    return {id_type(kind): value}


def device(own_id: str, kind: str) -> str:
    """The device id that an id of a type is; ``kind`` empty: it is one.

    :raises InvalidInput: the type is that of a customer's ids.
    """
    whole = id_type(kind) if kind else "device_id"
    if whole == "user_id":
        raise InvalidInput("--type is that of a device's id, as mobile; a customer has none")
    return own_id if whole == "device_id" else f"{whole}+{own_id}"
