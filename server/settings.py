"""Settings of a server: one frozen struct, one place where file, environment and flags are read.

Later sources win: defaults, the TOML file (``--config`` or ``ZUJI_CONFIG``), ``ZUJI_…`` variables,
flags. ``docs/server.md`` and ``zuji serve --help`` repeat :data:`SETTINGS`; a test compares them.
Limits on what an event may hold are the engine's (``engine/limits.py``).
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
PREFIX = "ZUJI_"
LOGIN_KEYS = 4
LOGIN_KEY_BYTES = 100
"""As many, and as long, as ``protocols/sensors.h`` has room for."""


def _setting(default: Any, unit: str, meaning: str) -> Any:
    return field(default=default, metadata={"unit": unit, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server works."""

    data: str = _setting(
        "", "directory", "projects, and `server.db`: accounts, keys, plans, boards"
    )
    collect: str = _setting("127.0.0.1:8106", "host:port", "listener for events; empty: none")
    api: str = _setting("127.0.0.1:8107", "host:port", "listener for queries; empty: none")
    tls_cert: str = _setting("", "file", "certificate chain (PEM) of both listeners")
    tls_key: str = _setting("", "file", "its private key (PEM)")
    dev: bool = _setting(False, "", "no keys, no accounts; both listeners must be on loopback")
    database: str = _setting("", "URL", "what `server.db` has, elsewhere: an SQLAlchemy URL")
    projects: str = _setting("", "names", "open these only, separated by commas; empty: all")
    log_level: str = _setting("info", "word", "debug, info, warning or error")
    log_format: str = _setting("text", "word", "text or json, one line an entry")
    stop_seconds: float = _setting(10.0, "s", "after SIGTERM the process is gone within this")
    # what comes in
    body_bytes: int = _setting(1 * MIB, "bytes", "body of a request, as sent")
    inflated_bytes: int = _setting(4 * MIB, "bytes", "the same, inflated")
    inflate_ratio: int = _setting(100, "times", "inflated ÷ sent: more is a bomb")
    bulk_body_bytes: int = _setting(64 * MIB, "bytes", "body sent with an admin key, inflated too")
    uri_bytes: int = _setting(8 * KIB, "bytes", "target of a request (tracking pixels: `uri_gif`)")
    uri_gif: int = _setting(
        64 * KIB, "bytes", "target of a GET that brings events: `/sa.gif`, `/i`, `/track`, …"
    )
    header_fields: int = _setting(64, "fields", "header fields of a request")
    header_bytes: int = _setting(16 * KIB, "bytes", "all header fields of a request together")
    header_seconds: float = _setting(10.0, "s", "from the first byte to the end of the header")
    body_rate: int = _setting(KIB, "bytes/s", "slowest body, on average, after the first 5 s")
    idle_seconds: float = _setting(60.0, "s", "without a request, then the connection is closed")
    connections: int = _setting(20_000, "connections", "of the collector; further ones are closed")
    address_connections: int = _setting(
        2_000, "connections", "from one address (a bank's branch may be one)"
    )
    queue_bytes: int = _setting(
        64 * MIB, "bytes", "bodies of a project that wait to be stored; more get 503"
    )
    refused_rate: int = _setting(
        100, "events/s", "refused, of one address with one key; who sends more has to wait; 0: any"
    )
    trusted_proxies: str = _setting(
        "", "addresses", "whose X-Forwarded-For and -Proto are believed, separated by commas"
    )
    enrich_user_agent: bool = _setting(
        False, "", "add browser, system and kind of device to events"
    )
    ip_regions: str = _setting(
        "", "file", "MaxMind `.mmdb`: add country, province and city to events"
    )
    region_language: str = _setting("en", "language", "of their names: en, zh-CN, …")
    store_ip: bool = _setting(
        False, "", "keep addresses of people: `$ip`, and what SDKs send of them"
    )
    sensors_zone: str = _setting(
        "+08:00", "offset", "of dates that Sensors Analytics' SDKs send without one"
    )
    sensors_login_keys: str = _setting(
        "",
        "names",
        "identities of Sensors' SDKs that are the customer's own id, the best first; those of "
        "one project after its name: `$identity_bank_cif; loans: $identity_loan_id`",
    )
    # people
    session_idle: float = _setting(7200.0, "s", "without a request, then a sign-in ends")
    session_most: float = _setting(43_200.0, "s", "after which a sign-in ends whatever happens")
    insecure_cookie: bool = _setting(
        False, "", "let people sign in over a network without TLS: passwords can be read on it"
    )
    # upkeep
    upkeep: str = _setting(
        "03:30", "HH:MM", "each day, local: purge erased people, apply time to live; empty: never"
    )
    # answers
    query_concurrency: int = _setting(4, "queries", "that run at once; more wait for their turn")
    query_waiting: int = _setting(64, "queries", "that wait; further ones get 503")
    query_seconds: float = _setting(10.0, "s", "time budget of a query")


class SettingDoc(NamedTuple):
    """One line of the published table."""

    name: str
    default: str
    unit: str
    meaning: str


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "false" if not value else "true"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else value


SETTINGS: tuple[SettingDoc, ...] = tuple(
    SettingDoc(f.name, _shown(f.default), f.metadata["unit"], f.metadata["meaning"])
    for f in fields(Settings)
)
_TYPES = dict(get_type_hints(Settings))


def load(
    flags: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    config: Path | None = None,
    said: Sequence[str] = (),
) -> Settings:
    """Settings of all sources. ``flags``: those given, by name; None is "not given". ``said``:
    flags as ``name=value``.

    Raises:
        InvalidInput: an unknown name or a value that does not fit; says which source it is of.
    """
    env = os.environ if environment is None else environment
    if config is None and env.get(PREFIX + "CONFIG"):
        from pathlib import Path as _Path

        config = _Path(env[PREFIX + "CONFIG"])
    found: dict[str, Any] = {}
    if config is not None:
        for name, value in _read(config).items():
            found[name] = _fitting(name, value, str(config))
    for name in _TYPES:
        text = env.get(PREFIX + name.upper())
        if text is not None:
            found[name] = _of_text(name, text, PREFIX + name.upper())
    for name, value in flags.items():
        if value is not None:
            found[name] = _fitting(name, value, "--" + name.replace("_", "-"))
    for one in said:
        name, equals, text = one.partition("=")
        if not equals:
            raise InvalidInput(f"--set is name=value, got {one!r}")
        found[name] = _of_text(name, text, "--set")
    return _checked(Settings(**found))


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InvalidInput(f"{config}: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InvalidInput(f"{config} is not TOML: {problem}") from None


def _fitting(name: str, value: Any, source: str) -> Any:
    kind = _TYPES[_known(name, source)]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise InvalidInput(f"{source}: {name} is {_word(kind)}, got {value!r}")
    return value


def _known(name: str, source: str) -> str:
    if name not in _TYPES:
        near = difflib.get_close_matches(name, _TYPES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidInput(f"{source}: there is no setting {name!r}{hint}")
    return name


def _of_text(name: str, text: str, source: str) -> Any:
    kind = _TYPES[_known(name, source)]
    if kind is bool:
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if text.lower() in words:
            return words[text.lower()]
    elif kind is str:
        return text
    else:
        try:
            return kind(text.replace("_", ""))
        except ValueError:
            pass
    raise InvalidInput(f"{source}: {name} is {_word(kind)}, got {text!r}")


def _word(kind: type) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text")


def _checked(settings: Settings) -> Settings:
    for f in fields(settings):
        value = getattr(settings, f.name)
        if isinstance(value, int | float) and value < 0:
            raise InvalidInput(f"{f.name} cannot be negative, got {value}")
    if not settings.data:
        raise InvalidInput("no data directory: give --data DIR (or `data` in the config file)")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise InvalidInput("tls_cert and tls_key go together: give both or none")
    for name in ("collect", "api"):
        if getattr(settings, name):
            address(getattr(settings, name), name)
    if not settings.collect and not settings.api:
        raise InvalidInput("collect and api are both empty: nothing to serve")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise InvalidInput(f"log_level is debug, info, warning or error, not {settings.log_level}")
    if settings.log_format not in ("text", "json"):
        raise InvalidInput(f"log_format is text or json, not {settings.log_format}")
    zone_ms(settings.sensors_zone)
    minutes_of(settings.upkeep)
    of_projects(settings)
    if settings.dev:
        _check_loopback(settings)
    return settings


@lru_cache(8)
def zone_ms(text: str) -> int:
    """Milliseconds that ``+HH:MM`` is before UTC, ``-HH:MM`` after it.

    Raises:
        InvalidInput.
    """
    if not re.fullmatch(r"[+-](0\d|1[0-4]):[0-5]\d", text):
        raise InvalidInput(f"sensors_zone is an offset such as +08:00, got {text!r}")
    minutes = int(text[1:3]) * 60 + int(text[4:])
    return (-minutes if text[0] == "-" else minutes) * 60_000


def minutes_of(text: str) -> int | None:
    """Minutes after midnight of ``HH:MM``; None of an empty text.

    Raises:
        InvalidInput: it is neither.
    """
    if not text:
        return None
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text, re.ASCII):
        raise InvalidInput(f"upkeep is a time of day such as 03:30, or empty, got {text!r}")
    return int(text[:2]) * 60 + int(text[3:])


@lru_cache(8)
def login_keys(text: str) -> tuple[str, ...]:
    """Keys of identities that name customers, of ``$identity_bank_cif, $identity_member``; what
    stands there for single projects is left out.

    Raises:
        InvalidInput.
    """
    return _login_keys(text).get("", ())


def of_projects(settings: Settings) -> dict[str, Settings]:
    """The settings of the projects that have some of their own.

    Raises:
        InvalidInput.
    """
    keys = _login_keys(settings.sensors_login_keys)
    return {
        project: replace(settings, sensors_login_keys=",".join(own))
        for project, own in keys.items()
        if project
    }


def _login_keys(text: str) -> dict[str, tuple[str, ...]]:
    """By project; those of all others under ""."""
    found: dict[str, tuple[str, ...]] = {}
    for part in text.split(";"):
        project, colon, names = part.rpartition(":")
        project = project.strip()
        if bool(colon) != bool(project) or project in found:
            raise InvalidInput(
                "sensors_login_keys: names separated by commas, then `; project: names`, each "
                f"project once, got {text!r}"
            )
        found[project] = _few(names, text)
    return found


def _few(names: str, text: str) -> tuple[str, ...]:
    keys = tuple(dict.fromkeys(key.strip() for key in names.split(",") if key.strip()))
    long = [key for key in keys if len(key.encode()) > LOGIN_KEY_BYTES]
    if len(keys) > LOGIN_KEYS or long:
        raise InvalidInput(
            f"sensors_login_keys: at most {LOGIN_KEYS} names of at most {LOGIN_KEY_BYTES} bytes, "
            f"separated by commas, got {text!r}"
        )
    return keys


def address(text: str, name: str) -> tuple[str, int]:
    """``host:port``, ``[v6]:port`` or ``:port`` (every address) as a pair.

    Raises:
        InvalidInput.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise InvalidInput(f"{name} is host:port, got {text!r}")
    return host.strip("[]"), int(port)


LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _check_loopback(settings: Settings) -> None:
    for name in ("collect", "api"):
        text = getattr(settings, name)
        if text and address(text, name)[0] not in LOOPBACK:
            raise InvalidInput(
                f"--dev takes any key, so {name} must be on loopback (127.0.0.1), not {text}; "
                "make keys with `zuji key create` and leave --dev out"
            )
