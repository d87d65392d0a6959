"""``zuji export``: events, or user profiles, as one Parquet file.

The file is written under a temporary name beside its place and renamed when it is whole, so that a
stopped export leaves nothing that looks like a result.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from rich.text import Text

from zuji.engine.errors import InvalidInput
from zuji.server.cli.opening import reading
from zuji.server.cli.outcome import OK, say
from zuji.server.cli.render import size
from zuji.server.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa


def export(
    output: Path,
    data: Path,
    project: str,
    events: list[str],
    start: str | None,
    end: str | None,
    *,
    profiles: bool,
    force: bool,
    quiet: bool,
) -> int:
    """Writes the file.

    :raises InvalidInput: the file is there already, its folder is not, or a date cannot be read.
    """
    if output.exists() and not force:
        raise InvalidInput(f"{output} is there already; --force overwrites it")
    if not output.parent.is_dir():
        raise InvalidInput(f"{output.parent}: no such folder")
    if profiles and (events or start or end):
        raise InvalidInput("--profiles takes all users; leave out --event, --from and --to")
    from zuji.engine import export as scan

    began = time.monotonic()
    with reading(data, project) as engine:
        if profiles:
            rows = _write(output, scan.profile_schema(engine), scan.read_profiles(engine))
        else:
            _warn_unknown(events, {row["name"] for row in engine.events()})
            tz = str(engine.status()["tz"])
            wanted = events or None
            tables = scan.read_events(
                engine, wanted, _instant(start, tz), _instant(end, tz, whole_day=True)
            )
            rows = _write(output, scan.event_schema(engine, wanted), tables)
    seconds = time.monotonic() - began
    if not quiet:
        what = "users" if profiles else "events"
        console(stderr=True).print(
            Text(f"{rows:,} {what} to {output} ({size(output.stat().st_size)}) in {seconds:.1f} s")
        )
    return OK


def _warn_unknown(events: list[str], known: set[str]) -> None:
    import difflib

    for name in events:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.5)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            say(f"warning: there is no event {name!r}{hint}")


def _write(output: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    import pyarrow.parquet as pq

    partial: Any = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    rows = 0
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table)
                rows += table.num_rows
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _instant(text: str | None, tz: str, *, whole_day: bool = False) -> int | None:
    """A local day, or an RFC 3339 instant, as ms UTC; as an end the whole day is included."""
    if text is None:
        return None
    from datetime import date, timedelta

    from zuji.engine import calendars

    try:
        if len(text) == len("2026-10-01"):
            day = date.fromisoformat(text) + timedelta(days=1 if whole_day else 0)
            return calendars.day_start(day, tz)
        return calendars.parse_instant(text)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is neither a day (2026-10-01) nor an instant (2026-10-01T08:00:00+08:00)"
        ) from None
