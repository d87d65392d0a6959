"""What each file of ``zuji import`` is, and how it gets where it is to go.

A file is read as a table (CSV, Parquet, JSON lines, access log) or as records of Sensors Analytics.
Tables go into an engine in bulk; everything else goes as batches: records, items, and whatever is
sent to a collector.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from zuji.engine.config import DEFAULT_TZ
from zuji.engine.errors import InvalidInput
from zuji.server.importer.local import LocalTarget
from zuji.server.importer.mapping import Mapping, PropertyRule, check_zone, merge, read_mapping
from zuji.server.importer.place import FilePlace, LedgerPlace, NoPlace
from zuji.server.importer.readers.nginx import LogRules
from zuji.server.importer.readers.opening import format_of, is_sensors, open_reader
from zuji.server.importer.run import Plan, plan_file, run_file
from zuji.server.importer.sensors_lines import SensorsSource
from zuji.server.importer.shipping import ship_file
from zuji.server.importer.tables import TableSource
from zuji.server.settings import login_keys

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from zuji.engine.engine import Engine
    from zuji.server.importer.mapping import PropertyType
    from zuji.server.importer.place import Place
    from zuji.server.importer.rejects import RejectsFile
    from zuji.server.importer.remote import RemoteTarget
    from zuji.server.importer.run import Progress

_KINDS = ("string", "int64", "float64", "bool", "datetime", "list")
_PLAIN = ("user", "device", "event", "time", "insert_id", "distinct_id", "event_name")


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    files: list[Path]
    data: Path | None
    project: str
    mapping_file: Path | None
    said: dict[str, Any]
    file_format: str = "auto"
    delimiter: str | None = None
    quote: str = '"'
    encoding: str = "utf-8"
    nulls: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    list_types: tuple[str, ...] = ()
    log_format: str | None = None
    client_id: str | None = None
    event_rules: tuple[str, ...] = ()
    skip_paths: tuple[str, ...] = ()
    store_ip: bool = False
    login_keys: tuple[str, ...] = ()
    to: str | None = None
    key: str = ""
    state: Path | None = None
    anew: bool = False
    senders: int = 4
    patience: float = 600.0
    rejects: Path | None = None
    allow_rejects: int | None = 0
    dry_run: bool = False
    limit: int | None = None
    compact: bool = True
    append_rows: int = 1_000_000
    quiet: bool = False


@dataclass(slots=True)
class Run:
    """What the files of one command share. ``rejects``, ``stop``: where to write, when to stop."""

    rejects: RejectsFile
    stop: threading.Event
    on_progress: Callable[[Progress], None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True)
class Job:
    """One file. Either ``plan`` (a table) or ``records``."""

    path: Path
    mapping: Mapping
    tz: str
    how: str
    plan: Plan | None = None
    records: SensorsSource | None = None

    @property
    def in_bulk(self) -> bool:
        """Whether it goes into an engine as a table."""
        return self.plan is not None and self.plan.resolved.kind != "item"

    @property
    def kind(self) -> str:
        """What it is read as."""
        return self.plan.reader.kind if self.plan is not None else SensorsSource.kind

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return (self.plan.reader if self.plan is not None else self._records()).size_bytes

    def into(self, engine: Engine, request: Request, run: Run) -> Progress:
        """Imports it into an engine."""
        dry = request.dry_run
        place = LedgerPlace(
            self.path,
            self.mapping,
            self.how,
            engine,
            anew=request.anew,
            note_rows=request.append_rows,
        )
        if self.in_bulk:
            assert self.plan is not None
            return run_file(
                self.plan,
                engine,
                run.rejects,
                on_progress=run.on_progress,
                stop=run.stop,
                append_rows=request.append_rows,
                limit_rows=request.limit,
                resume=not dry,
                place=None if dry else place,
            )
        return self._ship(LocalTarget(engine), NoPlace(place.key) if dry else place, request, run)

    def to(self, target: RemoteTarget, request: Request, run: Run) -> Progress:
        """Sends it to a collector."""
        to = f"{target.url} {_id_of(request.key)}"
        place = FilePlace(self.path, self.mapping, self.how, to, request.state, anew=request.anew)
        return self._ship(target, place, request, run)

    def _ship(self, target: Any, place: Place, request: Request, run: Run) -> Progress:
        source = TableSource(self.plan) if self.plan is not None else self._records()
        state = ship_file(
            source,
            target,
            place,
            run.rejects,
            on_progress=run.on_progress,
            stop=run.stop,
            limit_rows=request.limit,
        )
        state.unsupported, state.later = source.unsupported, source.later
        return state

    def _records(self) -> SensorsSource:
        assert self.records is not None
        return self.records


def job_of(request: Request, mapping: Mapping, path: Path, engine: Engine | None) -> Job:
    """A file, opened and held against the mapping. ``engine``: the project it goes into.

    :raises InvalidInput: it cannot be read as what it is to be.
    """
    project_tz = DEFAULT_TZ if engine is None else str(engine.status()["tz"])
    tz = mapping.tz or project_tz
    how = _how(request)
    if _kind_of(request, mapping, path) == "sensors":
        how = f"{tz}{how}\0sensors"
        source = SensorsSource(
            path, tz, keep_ip=request.store_ip, login_keys=login_keys(",".join(request.login_keys))
        )
        return Job(path, mapping, tz, how, records=source)
    rules = _rules(request, mapping)
    if rules is not None:
        mapping = _with_events(mapping, rules)
    reader = open_reader(
        path,
        file_format="nginx" if rules is not None else request.file_format,
        delimiter=request.delimiter,
        encoding=request.encoding,
        nulls=request.nulls,
        names=request.columns,
        quote=request.quote,
        log=rules,
        append_rows=request.append_rows,
        changes=mapping.rows_are == "event" and mapping.event_name is None,
    )
    kinds: dict[str, PropertyType] = {}
    if engine is not None:
        scope = "user" if mapping.rows_are == "profile" else "event"
        kinds = {p["name"]: p["kind"] for p in engine.properties() if p["scope"] == scope}
    plan = plan_file(path, reader, mapping, project_tz, kinds, how=how)
    return Job(path, mapping, tz, tz + how, plan=plan)


def mapping_of(request: Request) -> Mapping:
    """The mapping file with the options put over it.

    :raises InvalidInput: an option that does not fit.
    """
    base = read_mapping(request.mapping_file) if request.mapping_file else Mapping()
    mapping = merge(base, **request.said)
    if mapping.tz is not None:
        check_zone(mapping.tz)
    rules: dict[str, str | PropertyRule] = dict(mapping.properties or {})
    rest = mapping.rest if mapping.rest is not None else mapping.properties is None
    for column in request.properties:
        rules.setdefault(column, "")
    typed = [one.rpartition("=") for one in request.types]
    typed += [(column, "=", "list") for column in request.list_types]
    for column, _, kind in typed:
        if not column or kind not in _KINDS:
            raise InvalidInput(f"--type is COLUMN=TYPE, a type one of {', '.join(_KINDS)}")
        before = rules.get(column)
        name = before if isinstance(before, str) else before.name if before else None
        rules[column] = PropertyRule(name=name or None, type=msgspec.convert(kind, Any))
    if rules != dict(mapping.properties or {}):
        mapping = msgspec.structs.replace(
            mapping, properties=rules, rest=rest and not request.properties
        )
    return mapping


def character(text: str | None, option: str) -> str | None:
    """One character, written as itself or as ``\\t`` or ``\\9`` (its number).

    :raises InvalidInput: more, or nothing.
    """
    if text is None or len(text) == 1:
        return text
    if text == "\\t":
        return "\t"
    if text.startswith("\\") and text[1:].isdecimal() and int(text[1:]) < 128:
        return chr(int(text[1:]))
    raise InvalidInput(f"{option} is one character (a tab: '\\t' or '\\9')")


def _kind_of(request: Request, mapping: Mapping, path: Path) -> str:
    if request.file_format != "auto":
        return request.file_format
    if request.log_format is not None:
        return "nginx"
    plain = mapping != msgspec.structs.replace(Mapping(), tz=mapping.tz)
    if plain or format_of(path) != "jsonl" or not is_sensors(path):
        return "auto"
    return "sensors"


def _rules(request: Request, mapping: Mapping) -> LogRules | None:
    """What is said about access logs; None when the files are none."""
    if request.file_format != "nginx" and request.log_format is None:
        for name, value in (
            ("--client-id", request.client_id),
            ("--event-rule", request.event_rules),
            ("--skip-path", request.skip_paths),
        ):
            if value:
                raise InvalidInput(f"{name} is about access logs: add --format nginx")
        return None
    if request.file_format not in ("auto", "nginx"):
        raise InvalidInput("--log-format is about access logs: leave out --format")
    asked = {getattr(mapping, name) for name in _PLAIN} | set(mapping.properties or {})
    events = []
    for rule in request.event_rules:
        pattern, equals, name = rule.rpartition("=")
        if not equals or not pattern or not name:
            raise InvalidInput(f"--event-rule is EXPRESSION=EVENT, got {rule!r}")
        events.append((pattern, name))
    return LogRules(
        log_format=request.log_format or "combined",
        asked=frozenset(name for name in asked if name),
        client_id=request.client_id,
        events=tuple(events),
        otherwise=mapping.event_name,
        skip=request.skip_paths,
    )


def _with_events(mapping: Mapping, rules: LogRules) -> Mapping:
    """The mapping of a log: rules make a column of events; who it is may come from the line."""
    if rules.events:
        mapping = msgspec.structs.replace(mapping, event="event", event_name=None)
    if rules.client_id:
        said = (mapping.user, mapping.device, mapping.distinct_id)
        if not any(said):
            mapping = msgspec.structs.replace(mapping, distinct_id="client_id")
    return mapping


def _how(request: Request) -> str:
    """What decides how files are read, beside mapping and zone; "" when nothing was said."""
    said = {
        "format": request.file_format if request.file_format != "auto" else None,
        "delimiter": request.delimiter,
        "quote": request.quote if request.quote != '"' else None,
        "encoding": request.encoding if request.encoding != "utf-8" else None,
        "nulls": request.nulls,
        "columns": request.columns,
        "log_format": request.log_format,
        "client_id": request.client_id,
        "event_rules": request.event_rules,
        "skip_paths": request.skip_paths,
        "store_ip": request.store_ip,
        "login_keys": request.login_keys,
    }
    given = {name: value for name, value in said.items() if value}
    return "\0" + msgspec.json.encode(given).decode() if given else ""


def _id_of(key: str) -> str:
    """The part of a key that is no secret."""
    parts = key.split("_")
    return parts[2] if len(parts) == 4 and parts[0] == "zk" else ""
