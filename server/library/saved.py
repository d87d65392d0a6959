"""Saved analyses: a query and how it is shown, in folders, with all their versions. Thread-safe.

A query is held to the engine's grammar when it is saved. What it names (events, cohorts) may go
later: it is told when it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, select, update

from zuji.engine.errors import InvalidInput, NotFound
from zuji.engine.query.parse import parse
from zuji.server.accounts.book import now_ms, random_id
from zuji.server.errors import Conflict
from zuji.server.meta.tables import AccountRow, SavedRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from zuji.server.meta import Store

NAME_CHARS = 200
FOLDER_CHARS = 200
DESCRIPTION_CHARS = 4_000
VIEW_BYTES = 256 << 10
MOST = 10_000
"""Saved analyses of a project."""
MOST_VERSIONS = 200
"""Of one; the oldest go."""
LISTED = 500
MOST_LISTED = 2_000


class Analysis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is saved. ``view``: whatever the console keeps. ``expected``: the version that a change
    was made from; None: whatever there is.
    """

    name: str
    query: dict[str, Any]
    folder: str = ""
    description: str = ""
    view: Any = None
    expected: int | None = None


class Asked(msgspec.Struct, frozen=True):
    """Which are listed. ``text``: in name, folder or description."""

    text: str = ""
    folder: str | None = None
    model: str | None = None
    owner: str | None = None
    limit: int = LISTED
    full: bool = False


def check(asked: Analysis) -> None:
    """Holds it to the limits and the grammar.

    Raises:
        InvalidInput, InvalidQuery.
    """
    check_name(asked.name)
    check_folder(asked.folder)
    if len(asked.description) > DESCRIPTION_CHARS:
        raise InvalidInput(f"a description has at most {DESCRIPTION_CHARS:,} characters")
    if len(msgspec.json.encode(asked.view)) > VIEW_BYTES:
        raise InvalidInput(f"a view has at most {VIEW_BYTES:,} bytes")
    parse(asked.query)


def check_name(name: str) -> None:
    """A name that people read.

    Raises:
        InvalidInput.
    """
    if not 0 < len(name.strip()) <= NAME_CHARS or not name.isprintable():
        raise InvalidInput(f"a name has 1 to {NAME_CHARS} characters, all printable")


def check_folder(folder: str) -> None:
    """A folder: names with ``/`` between them; "" is the top.

    Raises:
        InvalidInput.
    """
    parts = folder.split("/") if folder else []
    good = all(part.strip() == part != "" for part in parts) and folder.isprintable()
    if len(folder) > FOLDER_CHARS or not good:
        raise InvalidInput(
            f"a folder has at most {FOLDER_CHARS} characters: names with / between them"
        )


def make(store: Store, project: str, asked: Analysis, owner: str, by: str) -> dict[str, Any]:
    """Saves a new one.

    Raises:
        InvalidInput, InvalidQuery.
    """
    check(asked)
    with store.session() as session:
        if count(session, SavedRow, project) >= MOST:
            raise InvalidInput(f"a project has at most {MOST:,} saved analyses: delete some")
        now = now_ms()
        row = _row(random_id(), 1, project, owner, asked, by, now, now)
        session.add(row)
        session.flush()
        return _shown(session, [row])[0]


def change(store: Store, project: str, name: str, asked: Analysis, by: str) -> dict[str, Any]:
    """A new version, in place of the newest.

    Raises:
        NotFound, InvalidInput, InvalidQuery. Conflict: the newest is not ``asked.expected``.
    """
    check(asked)
    with store.session() as session:
        return _shown(session, [_next(session, _newest(session, project, name), asked, by)])[0]


def restore(store: Store, project: str, name: str, version: int, by: str) -> dict[str, Any]:
    """The content of an older version, as a new one.

    Raises:
        NotFound.
    """
    with store.session() as session:
        newest = _newest(session, project, name)
        old = session.get(SavedRow, (name, version))
        if old is None:
            raise NotFound(f"there is no version {version} of it")
        return _shown(session, [_next(session, newest, _content(old), by)])[0]


def show(store: Store, project: str, name: str) -> dict[str, Any]:
    """One, whole.

    Raises:
        NotFound.
    """
    with store.session() as session:
        return _shown(session, [_newest(session, project, name)])[0]


def several(store: Store, project: str, names: set[str]) -> dict[str, dict[str, Any]]:
    """Those of these ids that are there, whole."""
    with store.session() as session:
        rows = session.scalars(
            select(SavedRow).where(
                SavedRow.project == project, SavedRow.newest.is_(True), SavedRow.id.in_(names)
            )
        ).all()
        return {one["id"]: one for one in _shown(session, rows)}


def listed(store: Store, project: str, asked: Asked) -> dict[str, Any]:
    """``saved``: those asked for, the last changed first, without queries and views unless
    ``full``; ``count``: of all that fit; ``folders``: of the project.
    """
    fits = [SavedRow.project == project, SavedRow.newest.is_(True)]
    wanted = list(fits)
    for column, value in (
        (SavedRow.folder, asked.folder),
        (SavedRow.model, asked.model),
        (SavedRow.owner, asked.owner),
    ):
        if value is not None:
            wanted.append(column == value)
    if asked.text:
        texts = (SavedRow.name, SavedRow.folder, SavedRow.description)
        looked = [column.icontains(asked.text, autoescape=True) for column in texts]
        wanted.append(looked[0] | looked[1] | looked[2])
    with store.session() as session:
        rows = session.scalars(
            select(SavedRow)
            .where(*wanted)
            .order_by(SavedRow.changed_ms.desc(), SavedRow.id)
            .limit(min(asked.limit, MOST_LISTED))
        ).all()
        found = session.scalar(select(func.count()).select_from(SavedRow).where(*wanted))
        folders = session.scalars(select(SavedRow.folder).where(*fits).distinct()).all()
        shown = _shown(session, rows)
    if not asked.full:
        for one in shown:
            del one["query"], one["view"]
    return {"saved": shown, "count": found or 0, "folders": sorted(f for f in folders if f)}


def versions(store: Store, project: str, name: str) -> list[dict[str, Any]]:
    """All versions, newest first, whole.

    Raises:
        NotFound.
    """
    with store.session() as session:
        _newest(session, project, name)
        rows = session.scalars(
            select(SavedRow).where(SavedRow.id == name).order_by(SavedRow.version.desc())
        ).all()
        return _shown(session, rows)


def remove(store: Store, project: str, name: str) -> None:
    """Deletes it with all versions.

    Raises:
        NotFound.
    """
    with store.session() as session:
        _newest(session, project, name)
        session.execute(delete(SavedRow).where(SavedRow.id == name))


def count(session: Session, table: Any, project: str) -> int:
    """How many a project has."""
    asked = select(func.count()).select_from(table).where(table.project == project)
    if table is SavedRow:
        asked = asked.where(SavedRow.newest.is_(True))
    return session.scalar(asked) or 0


def names_of(session: Session, owners: set[str]) -> Mapping[str, str]:
    """Names of accounts by id."""
    rows = session.execute(
        select(AccountRow.id, AccountRow.name).where(AccountRow.id.in_(owners - {""}))
    )
    return {row.id: row.name for row in rows}


def owner_of(names: Mapping[str, str], owner: str) -> dict[str, str] | None:
    """Whose something is, as answers say it; None: nobody's."""
    return {"id": owner, "name": names.get(owner, owner)} if owner else None


def _newest(session: Session, project: str, name: str) -> SavedRow:
    row = session.scalar(
        select(SavedRow).where(
            SavedRow.id == name, SavedRow.project == project, SavedRow.newest.is_(True)
        )
    )
    if row is None:
        raise NotFound(f"there is no saved analysis {name[:40]!r}")
    return row


def _next(session: Session, newest: SavedRow, asked: Analysis, by: str) -> SavedRow:
    if asked.expected not in (None, newest.version):
        raise Conflict(f"{newest.author} changed it meanwhile: it is version {newest.version} now")
    session.execute(update(SavedRow).where(SavedRow.id == newest.id).values(newest=False))
    version, now = newest.version + 1, now_ms()
    row = _row(newest.id, version, newest.project, newest.owner, asked, by, newest.created_ms, now)
    session.add(row)
    session.execute(
        delete(SavedRow).where(
            SavedRow.id == newest.id, SavedRow.version <= version - MOST_VERSIONS
        )
    )
    session.flush()
    return row


def _row(
    name: str,
    version: int,
    project: str,
    owner: str,
    asked: Analysis,
    by: str,
    created_ms: int,
    changed_ms: int,
) -> SavedRow:
    return SavedRow(
        id=name,
        version=version,
        newest=True,
        project=project,
        owner=owner,
        name=asked.name.strip(),
        folder=asked.folder,
        description=asked.description,
        model=str(asked.query.get("model", ""))[:40],
        query=msgspec.json.encode(asked.query).decode(),
        view=msgspec.json.encode(asked.view).decode(),
        author=by,
        created_ms=created_ms,
        changed_ms=changed_ms,
    )


def _content(row: SavedRow) -> Analysis:
    query, view = msgspec.json.decode(row.query), msgspec.json.decode(row.view)
    return Analysis(row.name, query, row.folder, row.description, view)


def _shown(session: Session, rows: Any) -> list[dict[str, Any]]:
    names = names_of(session, {row.owner for row in rows})
    return [
        {
            "id": row.id,
            "version": row.version,
            "name": row.name,
            "folder": row.folder,
            "description": row.description,
            "model": row.model,
            "query": msgspec.json.decode(row.query),
            "view": msgspec.json.decode(row.view),
            "owner": owner_of(names, row.owner),
            "changed_by": row.author,
            "created_ms": row.created_ms,
            "changed_ms": row.changed_ms,
        }
        for row in rows
    ]
