"""``zuji import``: checks every file and its mapping first, then loads them one after the other.

The first Ctrl-C stops after the append that is running; the place is kept, the same command goes
on. A dry run loads the first rows into a scratch project that is thrown away, so that what it says
about refused rows is what the engine would do.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text

from zuji.engine.errors import InvalidInput
from zuji.server.cli.opening import writing
from zuji.server.cli.outcome import INTERRUPTED, OK, REJECTS, say
from zuji.server.cli.render import size, table_of
from zuji.server.importer.mapping import Mapping, check_zone, merge, read_mapping
from zuji.server.importer.progress import ImportProgress
from zuji.server.importer.readers.opening import open_reader
from zuji.server.importer.rejects import RejectsFile
from zuji.server.importer.run import Plan, Progress, plan_file, run_file
from zuji.server.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.engine import Engine

REJECTS_NAME = "zuji-rejects.jsonl"
DRY_ROWS = 100_000
MERGE_SHARE = 10
"""A full merge follows when at least one row in so many is new."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    files: list[Path]
    data: Path
    project: str
    mapping_file: Path | None
    said: dict[str, Any]
    file_format: str = "auto"
    delimiter: str | None = None
    encoding: str = "utf-8"
    nulls: tuple[str, ...] = ()
    rejects: Path | None = None
    allow_rejects: bool = False
    dry_run: bool = False
    limit: int | None = None
    compact: bool = True
    append_rows: int = 1_000_000
    quiet: bool = False


def run_import(request: Request) -> int:
    """Runs the command; returns the exit status."""
    mapping = _mapping(request)
    if request.delimiter is not None and len(request.delimiter) != 1:
        raise InvalidInput("--delimiter is one character (a tab: $'\\t')")
    _check_twice(request.files)
    if request.dry_run:
        return _dry_run(request, mapping)
    with writing(request.data, request.project, make=True) as engine:
        plans = [_plan(request, mapping, path, engine) for path in request.files]
        if not request.quiet:
            for plan in plans:
                _say_guesses(plan)
        return _load(request, plans, engine)


def _mapping(request: Request) -> Mapping:
    base = read_mapping(request.mapping_file) if request.mapping_file else Mapping()
    mapping = merge(base, **request.said)
    if mapping.tz is not None:
        check_zone(mapping.tz)
    return mapping


def _check_twice(files: list[Path]) -> None:
    seen: set[Path] = set()
    for path in files:
        real = path.resolve()
        if real in seen:
            raise InvalidInput(f"{path} is given twice")
        seen.add(real)


def _plan(request: Request, mapping: Mapping, path: Path, engine: Engine) -> Plan:
    reader = open_reader(
        path,
        file_format=request.file_format,
        delimiter=request.delimiter,
        encoding=request.encoding,
        nulls=request.nulls,
        append_rows=request.append_rows,
    )
    scope = "user" if mapping.profile else "event"
    kinds = {p["name"]: p["kind"] for p in engine.properties() if p["scope"] == scope}
    return plan_file(path, reader, mapping, str(engine.status()["tz"]), kinds)


def _say_guesses(plan: Plan) -> None:
    if plan.resolved.guessed:
        said = ", ".join(f"{part} = {column!r}" for part, column in plan.resolved.guessed.items())
        console(stderr=True).print(Text(f"{plan.path.name}: by name {said}", style="dim"))


def _load(request: Request, plans: list[Plan], engine: Engine) -> int:
    path = request.rejects or Path(REJECTS_NAME)
    done: list[Progress] = []
    began = time.monotonic()
    with (
        _stop_on_interrupt() as stop,
        RejectsFile(path) as rejects,
        ImportProgress(quiet=request.quiet) as bar,
    ):
        for plan in plans:
            done.append(
                run_file(
                    plan,
                    engine,
                    rejects,
                    on_progress=bar.update,
                    stop=stop,
                    append_rows=request.append_rows,
                    limit_rows=request.limit,
                )
            )
            if stop.is_set():
                break
    seconds = time.monotonic() - began
    if stop.is_set():
        rows = sum(state.rows for state in done)
        say(f"stopped; {rows:,} rows of this run are safe", "the same command goes on from there")
        return INTERRUPTED
    if request.compact and _worth_merging(engine, sum(state.accepted for state in done)):
        engine.compact()
    if not request.quiet:
        _summary(done, rejects, path, seconds, time.monotonic() - began)
    return REJECTS if rejects.total and not request.allow_rejects else OK


def _worth_merging(engine: Engine, added: int) -> bool:
    """A full merge rewrites the project: only when a good part of it is new.

    Otherwise the engine merges in the background, whenever enough small segments have gathered.
    """
    return added > 0 and added * MERGE_SHARE >= int(engine.status()["rows"])


def _summary(
    done: list[Progress], rejects: RejectsFile, path: Path, seconds: float, with_merge: float
) -> None:
    out = console(stderr=True)
    rows = sum(state.rows for state in done)
    for state in done:
        if state.already_done:
            out.print(Text(f"{state.path.name}: was imported before, nothing to do"))
        elif state.resumed_at:
            out.print(Text(f"{state.path.name}: went on from where the last run stopped"))
        for name, kind in state.unsupported.items():
            out.print(
                Text(
                    f"{state.path.name}: column {name!r} is left out: {kind} has no counterpart",
                    "yellow",
                )
            )
    rate = f", {rows / seconds:,.0f} rows/s" if seconds > 0 and rows else ""
    merge_time = (
        f", {with_merge - seconds:.1f} s more to merge" if with_merge - seconds > 0.1 else ""
    )
    out.print(Text(f"{rows:,} rows in {seconds:.1f} s{rate}{merge_time}"))
    accepted, repeats = sum(s.accepted for s in done), sum(s.duplicates for s in done)
    out.print(Text(f"{accepted:,} stored, {repeats:,} known already, {rejects.total:,} refused"))
    if rejects.total:
        reasons = ", ".join(
            f"{reason} {count:,}" for reason, count in rejects.by_reason.most_common()
        )
        out.print(Text(f"refused: {reasons}; see {path}", style="yellow"))
        for sample in rejects.samples:
            out.print(Text(f"  {sample}", style="dim"))


@contextlib.contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Sets the event on the first Ctrl-C or SIGTERM; the second one breaks off at once."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("stopping after this append … (once more to break off)")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dry_run(request: Request, mapping: Mapping) -> int:
    """Loads the first rows into a scratch project; says what came of it."""
    out = console()
    total = 0
    tz = _project_zone(request)
    with tempfile.TemporaryDirectory(prefix="zuji-dry-run-") as folder:
        from zuji.engine.engine import create_project

        create_project(folder, "default", tz=tz)
        with writing(Path(folder), "default") as engine:
            for path in request.files:
                plan = _plan(request, mapping, path, engine)
                _show_plan(plan)
                rejects = RejectsFile(None)
                state = run_file(
                    plan, engine, rejects, limit_rows=request.limit or DRY_ROWS, resume=False
                )
                total += rejects.total
                known = plan.reader.rows_known
                of = f" of {known:,}" if known is not None and known > state.rows else ""
                out.print(
                    Text(f"the first {state.rows:,}{of} rows: {state.accepted:,} would be stored, ")
                    + Text(f"{state.duplicates:,} are repeats, {rejects.total:,} would be refused")
                )
                for reason, count in rejects.by_reason.most_common():
                    out.print(Text(f"  {reason}: {count:,}", style="yellow"))
                for sample in rejects.samples:
                    out.print(Text(f"  {sample}", style="dim"))
                for name, kind in state.unsupported.items():
                    out.print(
                        Text(
                            f"  column {name!r} would be left out: {kind} has no counterpart",
                            "yellow",
                        )
                    )
            names = [[row["name"], row["rows"], row["properties"]] for row in engine.events()]
            if names:
                out.print(table_of(["event", "rows", "properties"], names, most=20))
    out.print(Text("dry run: nothing was written", style="bold"))
    return REJECTS if total and not request.allow_rejects else OK


def _project_zone(request: Request) -> str:
    import zuji
    from zuji.engine.config import DEFAULT_TZ
    from zuji.engine.errors import NotFound

    try:
        engine = zuji.open(str(request.data), request.project, mode="r")
    except NotFound:
        return DEFAULT_TZ
    try:
        return str(engine.status()["tz"])
    finally:
        engine.close()


def _show_plan(plan: Plan) -> None:
    resolved, columns = plan.resolved, plan.reader.columns
    out = console()
    out.print(
        Text(
            f"{plan.path} · {plan.reader.kind} · {size(plan.reader.size_bytes)} · "
            f"local times in {plan.tz}",
            "bold",
        )
    )
    rows: list[list[Any]] = []
    named = {"event_name": resolved.event_name} if resolved.event_name else {}
    for part, name in named.items():
        rows.append([part, f"(always {name})", "", ""])
    for part in ("event", "user", "device", "time", "insert_id"):
        column = getattr(resolved, part)
        if column is not None:
            how = "by its name" if part in resolved.guessed else ""
            rows.append([part, column, str(columns.get(column, "")), how])
    what = "user property" if resolved.profile else "property"
    for column, (name, wanted) in resolved.properties.items():
        renamed = f"as {name}" if name != column else ""
        rows.append([what, column, wanted or _kind(columns.get(column)), renamed])
    rows += [["left out", column, "", ""] for column in resolved.dropped]
    out.print(
        table_of(["part", "column", "type", ""], [[escape(str(c)) for c in row] for row in rows])
    )


def _kind(arrow_type: Any) -> str:
    text = str(arrow_type)
    if text.startswith("dictionary<values="):
        return text.removeprefix("dictionary<values=").partition(",")[0]
    return "float64" if text == "double" else text
