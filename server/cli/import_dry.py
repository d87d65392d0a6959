"""A dry run of an import: what is in the files, and what would become of it.

Everything is loaded into a scratch project that is thrown away, so that what is said about refused
rows is what the engine would do. It needs room for the project in the temporary directory;
``--limit`` bounds it.
"""

from __future__ import annotations

import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text

from zuji.server.cli.import_jobs import Run, job_of
from zuji.server.cli.opening import writing
from zuji.server.cli.outcome import OK, REJECTS
from zuji.server.cli.render import size, table_of
from zuji.server.importer.mapping import listed
from zuji.server.importer.rejects import RejectsFile
from zuji.server.terminal import console

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from zuji.server.cli.import_jobs import Job, Request
    from zuji.server.importer.mapping import Mapping
    from zuji.server.importer.remote import RemoteTarget
    from zuji.server.importer.run import Progress


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def status_of(request: Request, rejects: RejectsFile) -> int:
    """Exit status of an import with these refused rows."""
    allowed = request.allow_rejects
    return REJECTS if allowed is not None and rejects.total > allowed else OK


def more_counts(done: Sequence[Progress]) -> str:
    """What else became of rows, if anything."""
    kept, skipped = sum(s.kept for s in done), sum(s.skipped for s in done)
    said = f", {kept:,} items kept aside" if kept else ""
    return said + (f", {skipped:,} left out by --skip-path and --event-rule" if skipped else "")


def further_down(state: Progress) -> str:
    """Which columns the first lines of a file had not."""
    return f"columns that begin further down, read too: {listed(state.later)}"


def collector_of(request: Request, stop: threading.Event) -> RemoteTarget:
    """The collector of ``--to``, after asking it whether the key is good."""
    from zuji.server.importer.remote import RemoteTarget

    assert request.to is not None
    target = RemoteTarget(
        request.to,
        request.key,
        concurrency=request.senders,
        patience_s=request.patience,
        stop=stop,
    )
    target.check()
    return target


def dry_run(request: Request, mapping: Mapping) -> int:
    """Loads the files into a scratch project; says what came of it."""
    out = console()
    tz, known = _project(request)
    if request.to is not None:
        collector_of(request, threading.Event())
        out.print(Text(f"{request.to} takes this key"))
    rejects = RejectsFile(None)
    with tempfile.TemporaryDirectory(prefix="zuji-dry-run-") as folder:
        from zuji.engine.engine import create_project

        create_project(folder, "default", tz=tz)
        with writing(Path(folder), "default") as engine:
            if known:
                engine.append(_examples(known))
            for path in request.files:
                job = job_of(request, mapping, path, engine)
                _show(job)
                before = rejects.by_reason.copy()
                state = job.into(engine, request, Run(rejects, threading.Event()))
                _say(request, job, state, rejects, before)
            names = [
                [row["name"], row["rows"], row["properties"]]
                for row in engine.events()
                if row["name"] != _EXAMPLE
            ]
            if names:
                out.print(table_of(["event", "rows", "properties"], names, most=20))
    out.print(Text("dry run: nothing was written", style="bold"))
    return status_of(request, rejects)


def _say(
    request: Request, job: Job, state: Progress, rejects: RejectsFile, before: Counter[str]
) -> None:
    out = console()
    new = rejects.by_reason - before
    known = None if job.plan is None else job.plan.reader.rows_known
    of = f" of {known:,}" if known is not None and known > state.rows else ""
    which = "the first" if request.limit is not None else "all"
    said = f"{which} {state.rows:,}{of} rows: {state.accepted:,} would be stored, "
    said += f"{state.duplicates:,} are repeats, {new.total():,} would be refused"
    out.print(Text(said + more_counts([state])))
    for reason, count in new.most_common():
        out.print(Text(f"  {reason}: {count:,}", style="yellow"))
    for sample in rejects.samples:
        out.print(Text(f"  {sample}", style="dim"))
    rejects.samples.clear()
    for name, kind in state.unsupported.items():
        left_out = f"  column {name!r} would be left out: {kind} has no counterpart"
        out.print(Text(left_out, "yellow"))
    if state.later:
        out.print(Text(f"  {further_down(state)}"))


_EXAMPLE = "$dry_run"
_VALUES: dict[str, Any] = {
    "string": "",
    "int64": 0,
    "float64": 0.5,
    "bool": True,
    "datetime": EPOCH,
    "list": [""],
}


def _project(request: Request) -> tuple[str, list[dict[str, Any]]]:
    """Zone and properties of the project that the import would go into."""
    import zuji
    from zuji.engine.config import DEFAULT_TZ
    from zuji.engine.errors import NotFound

    if request.data is None:
        return DEFAULT_TZ, []
    try:
        engine = zuji.open(str(request.data), request.project, mode="r")
    except NotFound:
        return DEFAULT_TZ, []
    try:
        return str(engine.status()["tz"]), engine.properties()
    finally:
        engine.close()


def _examples(properties: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Events that give a scratch project the property types of the real one."""
    for one in properties:
        value = {one["name"]: _VALUES[one["kind"]]}
        whose = {"user_id": _EXAMPLE, "time": EPOCH, "properties": value}
        if one["scope"] == "user":
            yield {"type": "profile_set", **whose}
        else:
            yield {"event": _EXAMPLE, **whose}


def _show(job: Job) -> None:
    out = console()
    head = f"{job.path} · {job.kind} · {size(job.size_bytes)} · local times in {job.tz}"
    out.print(Text(head, "bold"))
    if job.plan is None:
        return
    resolved, columns = job.plan.resolved, job.plan.reader.columns
    rows: list[list[Any]] = []
    named = {"event_name": resolved.event_name} if resolved.event_name else {}
    for part, name in named.items():
        rows.append([part, f"(always {name})", "", ""])
    for part in ("event", "user", "device", "time", "insert_id", "item_type", "item_id"):
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
