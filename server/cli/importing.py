"""``zuji import``: checks every file and its mapping first, then loads them one after the other.

The first Ctrl-C stops after the append that is running; the place is kept, the same command goes
on. A dry run loads the first rows into a scratch project that is thrown away, so that what it says
about refused rows is what the engine would do.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from zuji.engine.errors import InvalidInput
from zuji.server.cli.import_dry import (
    collector_of,
    dry_run,
    further_down,
    more_counts,
    status_of,
)
from zuji.server.cli.import_jobs import Job, Request, Run, character, job_of, mapping_of
from zuji.server.cli.import_stop import stop_on_interrupt
from zuji.server.cli.opening import writing
from zuji.server.cli.outcome import INTERRUPTED, say
from zuji.server.importer.progress import ImportProgress
from zuji.server.importer.readers.opening import files_in
from zuji.server.importer.rejects import RejectsFile
from zuji.server.importer.sensors_lines import SensorsSource
from zuji.server.terminal import console

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from zuji.engine.engine import Engine
    from zuji.server.importer.mapping import Mapping
    from zuji.server.importer.run import Progress

__all__ = ["Request", "allowed", "run_import"]

REJECTS_NAME = "zuji-rejects.jsonl"
MERGE_SHARE = 10
"""A full merge follows when at least one row in so many is new."""


def run_import(request: Request) -> int:
    """Runs the command; returns the exit status."""
    request = _checked(request)
    mapping = mapping_of(request)
    if request.dry_run:
        return dry_run(request, mapping)
    if request.to is not None:
        return _send(request, mapping)
    assert request.data is not None
    with writing(request.data, request.project, make=True) as engine:
        jobs = [job_of(request, mapping, path, engine) for path in request.files]
        _say_guesses(request, jobs)
        return _load(request, jobs, lambda job, run: job.into(engine, request, run), engine)


def allowed(text: str) -> int | None:
    """Refused rows that are no failure; None: any number.

    :raises InvalidInput: neither a number nor ``all``.
    """
    if text == "all":
        return None
    if not text.isdecimal():
        raise InvalidInput(f"--allow-rejects is a number of rows, or all; got {text!r}")
    return int(text)


def _send(request: Request, mapping: Mapping) -> int:
    """Sends the files to a collector."""
    jobs = [job_of(request, mapping, path, None) for path in request.files]
    _say_guesses(request, jobs)
    with stop_on_interrupt() as stop:
        target = collector_of(request, stop)
        return _load(request, jobs, lambda job, run: job.to(target, request, run), None, stop)


def _checked(request: Request) -> Request:
    """The request with its files found and its characters read."""
    if (request.data is None) == (request.to is None):
        raise InvalidInput(
            "where to? Give either --data DIR (or ZUJI_DATA), or --to URL with --key (or ZUJI_KEY)"
        )
    rejects = {Path(REJECTS_NAME).resolve(), (request.rejects or Path(REJECTS_NAME)).resolve()}
    named = {path.resolve() for path in request.files}
    files = files_in(request.files)
    files = [one for one in files if one.resolve() not in rejects or one.resolve() in named]
    _check_twice(files)
    quote = "" if request.quote == "" else character(request.quote, "--quote") or ""
    delimiter = character(request.delimiter, "--delimiter")
    return replace(request, files=files, delimiter=delimiter, quote=quote)


def _check_twice(files: list[Path]) -> None:
    seen: set[Path] = set()
    for path in files:
        real = path.resolve()
        if real in seen:
            raise InvalidInput(f"{path} is given twice")
        seen.add(real)


def _say_guesses(request: Request, jobs: list[Job]) -> None:
    if request.quiet:
        return
    for job in jobs:
        if job.plan is None:
            said = f"{SensorsSource.kind} (other JSON lines: --format jsonl)"
            if request.file_format == "auto":
                console(stderr=True).print(Text(f"{job.path.name}: {said}", style="dim"))
        elif job.plan.resolved.guessed:
            guessed = job.plan.resolved.guessed.items()
            said = ", ".join(f"{part} = {column!r}" for part, column in guessed)
            console(stderr=True).print(Text(f"{job.path.name}: by name {said}", style="dim"))


def _load(
    request: Request,
    jobs: list[Job],
    work: Callable[[Job, Run], Progress],
    engine: Engine | None,
    stop: threading.Event | None = None,
) -> int:
    path = request.rejects or Path(REJECTS_NAME)
    done: list[Progress] = []
    began = time.monotonic()
    with (
        contextlib.nullcontext(stop) if stop is not None else stop_on_interrupt() as stopping,
        RejectsFile(path) as rejects,
        ImportProgress(quiet=request.quiet) as bar,
    ):
        run = Run(rejects, stopping, bar.update)
        for job in jobs:
            done.append(work(job, run))
            if stopping.is_set():
                break
    seconds = time.monotonic() - began
    if stopping.is_set():
        rows = sum(state.rows for state in done)
        say(f"stopped; {rows:,} rows of this run are safe", "the same command goes on from there")
        return INTERRUPTED
    added = sum(state.accepted for state in done)
    if engine is not None and request.compact and _worth_merging(engine, added):
        engine.compact()
    if not request.quiet:
        _summary(done, rejects, path, seconds, time.monotonic() - began)
    return status_of(request, rejects)


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
        if state.later:
            said = f"{state.path.name}: {further_down(state)}"
            out.print(Text(said, style="dim"))
    rate = f", {rows / seconds:,.0f} rows/s" if seconds > 0 and rows else ""
    merge_time = (
        f", {with_merge - seconds:.1f} s more to merge" if with_merge - seconds > 0.1 else ""
    )
    out.print(Text(f"{rows:,} rows in {seconds:.1f} s{rate}{merge_time}"))
    accepted, repeats = sum(s.accepted for s in done), sum(s.duplicates for s in done)
    said = f"{accepted:,} stored, {repeats:,} known already, {rejects.total:,} refused"
    out.print(Text(said + more_counts(done)))
    if rejects.total:
        reasons = ", ".join(
            f"{reason} {count:,}" for reason, count in rejects.by_reason.most_common()
        )
        out.print(Text(f"refused: {reasons}; see {path}", style="yellow"))
        for sample in rejects.samples:
            out.print(Text(f"  {sample}", style="dim"))
