"""Snowplow's tracker protocol as native events.

Names are those of Snowplow's own tables: ``page_view``, ``struct``, the name of a self-describing
event's schema; columns such as ``page_url``; a context as ``contexts_<vendor>_<name>_<model>``, a
list with the JSON of each entity. ``uid`` is the customer, ``duid`` the device (else the network's
or the app's user id). ``ttm`` is a true time; ``dtm`` is corrected by ``stm``. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zuji.server.protocols import foreign
from zuji.server.protocols.foreign import ident
from zuji.server.protocols.forms import unbase64
from zuji.server.protocols.records import by_our_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = {
    "pv": "page_view",
    "pp": "page_ping",
    "se": "struct",
    "tr": "transaction",
    "ti": "transaction_item",
    "ad": "ad_impression",
}
TEXTS = {
    "p": "platform",
    "tna": "name_tracker",
    "url": "page_url",
    "page": "page_title",
    "refr": "page_referrer",
    "sid": "domain_sessionid",
    "fp": "user_fingerprint",
    "lang": "br_lang",
    "cs": "doc_charset",
    "ds": "doc_size",
    "vp": "br_viewport",
    "res": "dvce_screen",
    "cd": "br_colordepth",
    "tz": "os_timezone",
    "ua": "useragent",
    "se_ca": "se_category",
    "se_ac": "se_action",
    "se_la": "se_label",
    "se_pr": "se_property",
    "tr_id": "tr_orderid",
    "tr_af": "tr_affiliation",
    "tr_ci": "tr_city",
    "tr_st": "tr_state",
    "tr_co": "tr_country",
    "tr_cu": "tr_currency",
    "ti_id": "ti_orderid",
    "ti_sk": "ti_sku",
    "ti_nm": "ti_name",
    "ti_ca": "ti_category",
    "ti_cu": "ti_currency",
}
NUMBERS = {
    "se_va": "se_value",
    "tr_tt": "tr_total",
    "tr_tx": "tr_tax",
    "tr_sh": "tr_shipping",
    "ti_pr": "ti_price",
}
WHOLE = {
    "vid": "domain_sessionidx",
    "ti_qu": "ti_quantity",
    "pp_mix": "pp_xoffset_min",
    "pp_max": "pp_xoffset_max",
    "pp_miy": "pp_yoffset_min",
    "pp_may": "pp_yoffset_max",
}
FLAGS = {"cookie": "br_cookies"}
_READ = frozenset(
    {"e", "eid", "aid", "uid", "duid", "nuid", "tnuid", "dtm", "stm", "ttm", "tv", "ip"}
    | {"ue_pr", "ue_px", "co", "cx"}
    | {*TEXTS, *NUMBERS, *WHOLE, *FLAGS}
)
_SCHEMA = re.compile(r"iglu:([^/]+)/([^/]+)/[^/]+/(\d+)")
_VERSION = re.compile(r"(.*?)-(\d.*)")


class Reading:
    """How the events of one request are read. ``app``: ``aid`` is an app's id, not the key.
    ``places``: whether addresses of persons are handed on (see ``server.enrich``).
    """

    def __init__(self, received_ms: int, *, places: bool = False, app: bool = False) -> None:
        self._received = received_ms
        self._places = places
        self._app = app

    def event(self, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """One event."""
        kind = foreign.event_name(record.get("e"), "e")
        made: dict[str, Any] = {}
        if kind == "ue":
            name, within = _described(record)
            made |= within
        else:
            name = EVENTS.get(kind, kind)
        _fields(record, made)
        contexts, app_user = _contexts(record)
        made |= contexts
        if self._app and (app := record.get("aid")) is not None:
            made["app_id"] = foreign.native(app)
        if self._places and (address := record.get("ip")) is not None:
            made["$ip"] = foreign.native(address)
        network = ident(record.get("tnuid"), "tnuid") or ident(record.get("nuid"), "nuid")
        device = ident(record.get("duid"), "duid")
        if device is not None and network is not None:
            made["network_userid"] = network
        event = {
            "event": name,
            "time": self._time(record),
            "user_id": ident(record.get("uid"), "uid"),
            "device_id": device or network or app_user,
            "properties": made,
        }
        if (insert := ident(record.get("eid"), "eid")) is not None:
            event["insert_id"] = insert
        yield event

    def _time(self, record: dict[str, Any]) -> int:
        if (true := record.get("ttm")) not in (None, ""):
            return foreign.milliseconds(true, "ttm")
        if (device := record.get("dtm")) in (None, ""):
            return self._received
        sent = record.get("stm")
        sent_ms = None if sent in (None, "") else foreign.milliseconds(sent, "stm")
        return by_our_clock(foreign.milliseconds(device, "dtm"), sent_ms, self._received)


def _fields(record: dict[str, Any], made: dict[str, Any]) -> None:
    """Puts the plain fields among the properties; numbers come as text."""
    for field, value in record.items():
        if value is None or value == "":
            continue
        if field in TEXTS:
            made[TEXTS[field]] = foreign.native(value)
        elif field in NUMBERS:
            made[NUMBERS[field]] = float(foreign.number(value, field))
        elif field in WHOLE:
            made[WHOLE[field]] = foreign.whole(value, field)
        elif field in FLAGS:
            made[FLAGS[field]] = value in ("1", 1, True, "true")
        elif field not in _READ:
            made |= foreign.properties({f"_{field}" if field in made else field: value})
    if isinstance(tracker := record.get("tv"), str) and tracker:
        lib = _VERSION.fullmatch(tracker)
        made["$lib"] = lib[1] if lib else tracker
        if lib:
            made["$lib_version"] = lib[2]


def _json(record: dict[str, Any], plain: str, encoded: str) -> Any:
    """The value of a field in JSON, or of one in base64 of it; None when neither is there."""
    text = record.get(plain)
    if text not in (None, ""):
        if not isinstance(text, str):
            return text
        return foreign.read(text.encode("utf-8", "surrogatepass"))
    text = record.get(encoded)
    if text in (None, ""):
        return None
    if not isinstance(text, str) or not text.isascii():
        foreign.refuse("bad_base64", f"{encoded} must be text in base64")
    return foreign.read(unbase64(text.encode()))


def _described(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and properties of a self-describing event."""
    outer = _json(record, "ue_pr", "ue_px")
    inner = outer.get("data") if isinstance(outer, dict) else None
    schema = inner.get("schema") if isinstance(inner, dict) else None
    found = _SCHEMA.match(schema) if isinstance(schema, str) else None
    if found is None or not isinstance(inner, dict):
        foreign.refuse("bad_schema", "a self-describing event has its schema, iglu:…, and data")
    data = inner.get("data")
    if isinstance(data, dict):
        made = foreign.properties(data)
    else:
        made = {} if data is None else {"data": foreign.native(data)}
    return found[2], made | {"$schema": schema}


def _contexts(record: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Contexts as properties, and the user id that an app made for itself."""
    outer = _json(record, "co", "cx")
    if outer is None:
        return {}, None
    entities = outer.get("data") if isinstance(outer, dict) else None
    if not isinstance(entities, list):
        foreign.refuse("bad_schema", "contexts are a list of entities with schema and data")
    made: dict[str, list[str]] = {}
    user = None
    for entity in entities:
        schema = entity.get("schema") if isinstance(entity, dict) else None
        found = _SCHEMA.match(schema) if isinstance(schema, str) else None
        if found is None:
            foreign.refuse("bad_schema", "a context has its schema, iglu:…, and data")
        vendor, name, model = found.groups()
        column = re.sub(r"\W", "_", f"contexts_{vendor}_{name}_{model}")
        data = entity.get("data")
        made.setdefault(column, []).append(foreign.nested(data))
        if name == "client_session" and isinstance(data, dict):
            user = user or ident(data.get("userId"), "userId")
    return dict(made), user
