"""Boards: analyses, figures and texts on a grid of 12 columns, with a range of time and a filter
that all of them share. Thread-safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from sqlalchemy import select

from zuji.engine.errors import InvalidInput, InvalidQuery, NotFound
from zuji.engine.query.parse import parse
from zuji.server.accounts.book import now_ms, random_id
from zuji.server.errors import Conflict
from zuji.server.library.saved import (
    VIEW_BYTES,
    check_folder,
    check_name,
    count,
    names_of,
    owner_of,
    several,
)
from zuji.server.meta.tables import BoardRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from zuji.server.meta import Store

COLUMNS = 12
MOST_ROWS = 1_000
MOST_CARDS = 60
TEXT_CHARS = 10_000
LEAST_REFRESH_S = 10
MOST_REFRESH_S = 86_400
MOST = 2_000
"""Boards of a project."""


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A card at ``x``, ``y``, ``w`` columns wide and ``h`` rows high. Of an analysis or a figure:
    ``saved``, the id of an analysis, or a ``query`` of its own.
    """

    id: str
    kind: Literal["analysis", "figure", "text"]
    x: int
    y: int
    w: int
    h: int
    saved: str | None = None
    query: dict[str, Any] | None = None
    view: Any = None
    text: str | None = None
    title: str | None = None


class Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A board. ``refresh_s``: 0 is never. ``expected``: the version that a change was made from."""

    name: str
    folder: str = ""
    time: dict[str, Any] | None = None
    where: dict[str, Any] | None = None
    refresh_s: int = 0
    cards: tuple[Card, ...] = ()
    expected: int | None = None


def check(board: Board) -> None:
    """Holds it to the limits, and what it shares and asks to the grammar.

    Raises:
        InvalidInput, InvalidQuery: its path is that of the board.
    """
    check_name(board.name)
    check_folder(board.folder)
    if board.refresh_s and not LEAST_REFRESH_S <= board.refresh_s <= MOST_REFRESH_S:
        raise InvalidInput(
            f"refresh_s is 0 (never) or {LEAST_REFRESH_S} to {MOST_REFRESH_S:,} seconds"
        )
    if len(board.cards) > MOST_CARDS:
        raise InvalidInput(f"a board has at most {MOST_CARDS} cards")
    if len({card.id for card in board.cards}) != len(board.cards):
        raise InvalidInput("two cards have the same id")
    shared: dict[str, Any] = {"time": board.time or {"from": "-7d", "to": "today"}}
    if board.where is not None:
        shared["where"] = board.where
    parse({"model": "event", **shared, "body": {"series": [{"e": "*"}]}})
    for place, card in enumerate(board.cards):
        _check_card(card, f"$.cards[{place}]")


def _check_card(card: Card, path: str) -> None:
    inside = 0 <= card.x < COLUMNS and 1 <= card.w <= COLUMNS - card.x
    if not inside or not 0 <= card.y < MOST_ROWS or not 1 <= card.h <= MOST_ROWS:
        raise InvalidInput(
            f"{path}: x and w lie in {COLUMNS} columns, y and h in {MOST_ROWS:,} rows"
        )
    if not 0 < len(card.id) <= 40:
        raise InvalidInput(f"{path}: an id has 1 to 40 characters")
    if len(msgspec.json.encode(card.view)) > VIEW_BYTES:
        raise InvalidInput(f"{path}: a view has at most {VIEW_BYTES:,} bytes")
    if len(card.text or "") > TEXT_CHARS or len(card.title or "") > 200:
        raise InvalidInput(f"{path}: a text has at most {TEXT_CHARS:,} characters, a title 200")
    if card.kind == "text":
        if card.saved is not None or card.query is not None:
            raise InvalidInput(f"{path}: a text asks nothing")
        return
    if (card.saved is None) == (card.query is None):
        raise InvalidInput(f"{path}: either saved (the id of an analysis) or a query")
    if card.query is not None:
        try:
            parse(card.query)
        except InvalidQuery as problem:
            raise InvalidQuery(str(problem.args[0]), f"{path}.query{problem.path[1:]}") from None


def make(store: Store, project: str, board: Board, owner: str, by: str) -> dict[str, Any]:
    """A new board.

    Raises:
        InvalidInput, InvalidQuery.
    """
    check(board)
    with store.session() as session:
        if count(session, BoardRow, project) >= MOST:
            raise InvalidInput(f"a project has at most {MOST:,} boards: delete some")
        now = now_ms()
        row = BoardRow(
            id=random_id(),
            project=project,
            owner=owner,
            name=board.name.strip(),
            folder=board.folder,
            document=_document(board),
            version=1,
            author=by,
            created_ms=now,
            changed_ms=now,
        )
        session.add(row)
        session.flush()
        return _shown(session, row)


def change(store: Store, project: str, name: str, board: Board, by: str) -> dict[str, Any]:
    """Replaces a board.

    Raises:
        NotFound, InvalidInput, InvalidQuery. Conflict: it is not ``board.expected`` any more.
    """
    check(board)
    with store.session() as session:
        row = _row(session, project, name)
        if board.expected not in (None, row.version):
            raise Conflict(f"{row.author} changed it meanwhile: it is version {row.version} now")
        row.name, row.folder = board.name.strip(), board.folder
        row.document = _document(board)
        row.version += 1
        row.author, row.changed_ms = by, now_ms()
        session.flush()
        return _shown(session, row)


def show(store: Store, project: str, name: str) -> dict[str, Any]:
    """A board, whole; ``saved``: the analyses that its cards show, by id.

    Raises:
        NotFound.
    """
    with store.session() as session:
        shown = _shown(session, _row(session, project, name))
    wanted = {card["saved"] for card in shown["cards"] if card.get("saved")}
    return {**shown, "saved": several(store, project, wanted)}


def listed(store: Store, project: str) -> list[dict[str, Any]]:
    """All boards by folder and name, without their cards (``card_count``)."""
    with store.session() as session:
        rows = session.scalars(
            select(BoardRow)
            .where(BoardRow.project == project)
            .order_by(BoardRow.folder, BoardRow.name, BoardRow.id)
        ).all()
        names = names_of(session, {row.owner for row in rows})
        return [
            {**_head(row, owner_of(names, row.owner)), "card_count": len(_content(row)["cards"])}
            for row in rows
        ]


def remove(store: Store, project: str, name: str) -> None:
    """Deletes a board; the analyses on it stay.

    Raises:
        NotFound.
    """
    with store.session() as session:
        session.delete(_row(session, project, name))


def owner(store: Store, project: str, name: str) -> str:
    """Id of the account whose it is; "": nobody's.

    Raises:
        NotFound.
    """
    with store.session() as session:
        return _row(session, project, name).owner


def _row(session: Session, project: str, name: str) -> BoardRow:
    row = session.get(BoardRow, name)
    if row is None or row.project != project:
        raise NotFound(f"there is no board {name[:40]!r}")
    return row


def _document(board: Board) -> str:
    told = {
        "time": board.time,
        "where": board.where,
        "refresh_s": board.refresh_s,
        "cards": board.cards,
    }
    return msgspec.json.encode(told).decode()


def _content(row: BoardRow) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(row.document)
    return found


def _head(row: BoardRow, whose: dict[str, str] | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "name": row.name,
        "folder": row.folder,
        "owner": whose,
        "changed_by": row.author,
        "created_ms": row.created_ms,
        "changed_ms": row.changed_ms,
    }


def _shown(session: Session, row: BoardRow) -> dict[str, Any]:
    names = names_of(session, {row.owner})
    return {**_head(row, owner_of(names, row.owner)), **_content(row)}
