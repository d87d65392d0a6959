"""Cohorts (圈选): named groups of users, made by a rule, loaded from ids, or saved from an answer.

Each has dated versions; queries read the newest, or that in force at another moment. What is kept,
and how, is the business of the :mod:`cohort_catalogue`; here is what is done with it.
docs/cohorts.md. Thread-safe; one change at a time, reading never waits.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyroaring import BitMap

from zuji.engine.errors import InvalidInput, InvalidQuery, NotFound, ZujiError
from zuji.engine.people.cohort_catalogue import CohortCatalogue, moment_of
from zuji.engine.people.cohort_estimates import estimated
from zuji.engine.people.cohort_making import Asked, members_by_rule
from zuji.engine.people.cohort_members import Page, found_by, page_of, place_in
from zuji.engine.people.cohort_rules import (
    Definition,
    check_name,
    definition_from,
    nodes_of,
    wanted_at,
)
from zuji.engine.people.graph import Graph
from zuji.engine.people.whom import Whom
from zuji.engine.query.documents import load
from zuji.engine.query.problems import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from zuji.engine.people.cohort_members import Lookup
    from zuji.engine.people.graph import Node
    from zuji.engine.people.tags.host import Host
    from zuji.engine.query.context import Cancel
    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.files import Files
    from zuji.engine.types import U32

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 3_600.0
"""Budget of one refresh."""
ESTIMATE_SECONDS: Final = 0.25
Document = dict[str, Any]


class Cohorts(CohortCatalogue):
    """All cohorts of a project. ``lookup``: places of many ids at once; ``picked``: the ordinals by
    shard behind a cell of an answer; ``threads``: shards that an estimate looks at together.
    """

    def __init__(
        self,
        host: Host,
        files: Files,
        directory: str,
        columns: ColumnCache,
        *,
        lookup: Lookup,
        picked: Callable[..., list[U32]],
        threads: int,
        writable: bool,
    ) -> None:
        super().__init__(host, files, directory, columns, writable=writable)
        self._lookup = lookup
        self._picked = picked
        self._threads = threads

    # -- definitions ---------------------------------------------------------------------------

    def define(self, document: Mapping[str, Any] | str | bytes) -> Document:
        """Defines a cohort by a rule, or changes the one of the same name, and makes a version of
        it now; returns what :meth:`show` gives, with ``warnings`` about events and properties that
        nobody sent yet. Durable on return. Versions made by an older rule stay.

        Raises:
            InvalidQuery: with the JSON path of what is wrong. InvalidInput: it would be made of
            itself (says by what way), it is a fixed list, or there are too many.
            QueryBudgetExceeded, StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        given = definition_from(document)
        if given.rule is None:
            raise InvalidQuery("needs a rule; a list is made by load() or save()", "$.rule")
        with self._writing:
            old = self._document(given.name)
            if old is not None and old["kind"] != "rule":
                raise InvalidInput(
                    f"{given.name!r} is a fixed list; delete it, or take another name"
                )
            self._check_graph(given)
            made, warnings = self._made(given, None)
            self._put(given, "rule", made)
        return {**self.show(given.name), "warnings": warnings}

    def _check_graph(self, given: Definition) -> None:
        node = ("cohort", given.name)
        Graph({**self._host.graph().made_of, node: nodes_of(given.rule)}).check(node)

    # -- versions ------------------------------------------------------------------------------

    def refresh(
        self,
        name: str,
        *,
        as_of: str | None = None,
        parts: bool = False,
        cancel: Cancel | None = None,
    ) -> Document:
        """Makes a version of a cohort now, or ``as_of`` a date or instant gone by: from what had
        happened by then. ``parts``: before it, of the scheduled cohorts that it is made of. Returns
        the version. Durable on return.

        Raises:
            NotFound. InvalidInput: a fixed list, or a moment to come. InvalidQuery: the rule does
            not fit any more. QueryCancelled, QueryBudgetExceeded, StorageFull, StorageFailed,
            ReadOnly, EngineClosed.
        """
        with self._writing:
            cohort = self._cohort(name)
            if cohort.kind != "rule":
                raise InvalidInput(f"cohort {name!r} is a fixed list: there is nothing to refresh")
            if parts:
                graph = self._host.graph()
                for one in graph.ordered(graph.parts_of(("cohort", name))):
                    if one[0] == "cohort" and self._cohort(one[1]).definition.schedule is not None:
                        self.refresh(one[1], as_of=as_of, cancel=cancel)
            made, _ = self._made(cohort.definition, as_of, cancel)
            return self._put(cohort.definition, "rule", made)

    def due(self) -> list[str]:
        """Cohorts that their schedules want to be refreshed by now, each after those that it is
        made of.
        """
        kept, now = self.kept(), self._host.now_ms()
        found: list[Node] = []
        for name in kept.kinds:
            cohort = kept.get(name)
            schedule = cohort.definition.schedule
            if schedule is None:
                continue
            tz = cohort.definition.time.tz or self._host.tz
            last = max((one["made_ms"] for one in cohort.versions), default=None)
            if last is None or last < wanted_at(schedule, now, tz):
                found.append(("cohort", name))
        return [one[1] for one in self._host.graph().ordered(found)]

    def refresh_due(self, cancel: Cancel | None = None) -> list[Document]:
        """Refreshes what is due; an entry each: ``cohort`` with ``users``, or ``code`` and
        ``message`` of what went wrong: the others go on.
        """
        done: list[Document] = []
        for name in self.due():
            try:
                version = self.refresh(name, cancel=cancel)
                done.append({"cohort": name, "users": version["users"]})
            except ZujiError as error:
                if error.code in ("query_cancelled", "read_only", "closed"):
                    raise
                log.warning("refresh failed cohort=%s code=%s", name, error.code)
                done.append({"cohort": name, "code": error.code, "message": str(error)})
        return done

    def _made(
        self, given: Definition, as_of: str | None, cancel: Cancel | None = None
    ) -> tuple[tuple[int, list[BitMap]], list[str]]:
        """(Moment, members of each shard), and what the rule gives reason to warn of."""
        assert given.rule is not None
        with self._host.running(cancel, REFRESH_SECONDS) as (view, context):
            at_ms = None if as_of is None else moment_of(as_of, view, given.time)
            asked = Asked(view, context, given.rule, given.time, at_ms)
            return (asked.at_ms, members_by_rule(asked, self.kept())), list(context.warnings)

    def estimate(
        self,
        rule: Mapping[str, Any] | str | bytes,
        *,
        seconds: float = ESTIMATE_SECONDS,
        cancel: Cancel | None = None,
    ) -> Document:
        """How many users a rule has, while somebody edits it: ``users, of, exact, share, low, high,
        elapsed_ms, warnings``. ``rule``: an audience, or a definition with ``rule`` and ``time``.
        Exact where that takes no longer than about ``seconds``; else from a sample of users by
        hash, ``share`` of all, and ``low`` to ``high`` is where the number lies in 19 of 20 cases.

        Raises:
            InvalidQuery, QueryCancelled, QueryBudgetExceeded, EngineClosed.
        """
        given = _edited(rule)
        assert given.rule is not None
        with self._host.running(cancel) as (view, context):
            asked = Asked(view, context, given.rule, given.time)
            found = estimated(asked, seconds, self._threads)
            return {
                **asdict(found),
                "elapsed_ms": context.elapsed_ms,
                "warnings": list(context.warnings),
            }

    # -- fixed lists ---------------------------------------------------------------------------

    def load(
        self,
        name: str,
        ids: Iterable[str],
        id_type: str = "user_id",
        *,
        how: str = "replace",
        description: str = "",
    ) -> Document:
        """Makes a fixed list of the users with some ids, or puts them in its place (``replace``),
        adds them (``add``) or takes them out (``remove``). ``id_type``: ``user_id``, ``device_id``
        or a typed id such as ``$identity_mobile``. Returns ``given, found, unknown`` (ids that
        nobody has; they are not kept), ``examples`` of these, and ``users`` of the new version.

        Raises:
            InvalidQuery, InvalidInput: the name, the type or ``how``; or it is made by a rule.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        check_name(name)
        if how not in ("replace", "add", "remove"):
            raise InvalidInput(f"how is 'replace', 'add' or 'remove', got {how!r}")
        with self._writing:
            old = self._document(name)
            if old is not None and old["kind"] == "rule":
                raise InvalidInput(f"cohort {name!r} is made by a rule; take another name")
            with self._host.running(None, REFRESH_SECONDS) as (view, _):
                asked = found_by(self._lookup, view, ids, id_type)
                shards = asked.shards
                if how != "replace" and old is not None:
                    shards = [
                        have - new if how == "remove" else have | new
                        for have, new in zip(self._newest(name, view), shards, strict=True)
                    ]
                elif how == "remove":
                    raise NotFound(f"there is no cohort {name!r}{nearest(name, self.kept().kinds)}")
            before = "" if old is None else str(old["definition"]["description"])
            given = Definition(name=name, description=description or before)
            source = {"kind": "ids", "id_type": id_type}
            version = self._put(given, "list", (self._host.now_ms(), shards), source)
        return {
            "cohort": name,
            "given": asked.given,
            "found": asked.found,
            "unknown": asked.given - asked.found,
            "examples": asked.examples,
            "users": version["users"],
        }

    def save(
        self,
        name: str,
        query: Mapping[str, Any] | str | bytes,
        pick: Mapping[str, Any],
        scope: Any = None,
        *,
        description: str = "",
    ) -> Document:
        """Saves the users behind one cell of an answer as a fixed list: ``query`` and ``pick`` as
        in ``Engine.users``. Returns what :meth:`show` gives.

        Raises:
            InvalidQuery. InvalidInput: the name is that of a rule. Whatever a query raises.
            StorageFull, StorageFailed, ReadOnly.
        """
        check_name(name)
        with self._writing:
            old = self._document(name)
            if old is not None and old["kind"] == "rule":
                raise InvalidInput(f"cohort {name!r} is made by a rule; take another name")
            by_shard = self._picked(query, pick, scope)
            shards = [BitMap(one.tolist()) for one in by_shard]
            source = {"kind": "cell", "query": query, "pick": dict(pick)}
            if isinstance(query, str | bytes):
                source["query"] = query if isinstance(query, str) else query.decode()
            given = Definition(name=name, description=description)
            self._put(given, "cell", (self._host.now_ms(), shards), source)
        return self.show(name)

    # -- members -------------------------------------------------------------------------------

    def members(
        self,
        name: str,
        *,
        as_of: str | None = None,
        after: str | None = None,
        limit: int = 1_000,
        id_type: str = "user_id",
    ) -> Page:
        """A page of members: ``users`` (``user_id``, ``device_id``, and the asked type of id),
        ``next`` (the cursor of the next page, or None), ``total``. In the order of the store, which
        does not change while nobody is linked or erased.

        Raises:
            NotFound: no such cohort, or no version as of then. InvalidInput: the cursor, the limit.
            Corruption, EngineClosed.
        """
        with self._host.running() as (view, context):
            cohort, place = self._version(name, view, as_of)
            shards = self._shards(view, cohort, place)
            return page_of(view, context, shards, after, limit, id_type)

    def export(
        self, name: str, *, as_of: str | None = None, id_type: str = "user_id"
    ) -> Iterator[str]:
        """Ids of all members, of one type; members without such an id are left out.

        Raises:
            As :meth:`members`.
        """
        after: str | None = None
        while True:
            page = self.members(name, as_of=as_of, after=after, limit=10_000, id_type=id_type)
            own = (user[id_type] for user in page["users"])
            yield from (text for text in own if text is not None)
            after = page["next"]
            if after is None:
                return

    def contains(
        self, name: str, whom: Mapping[str, Any] | Whom, *, as_of: str | None = None
    ) -> bool:
        """Whether somebody is a member: ``{"user_id": "c-1"}``, a device id or a typed id. Reads
        one shard.

        Raises:
            NotFound: no such cohort or version. InvalidInput: the id.
            Corruption, EngineClosed.
        """
        key = Whom.of(whom).key
        with self._host.running() as (view, _):
            cohort, place = self._version(name, view, as_of)
            bounds = np.array([0, len(key)], dtype=np.int64)
            shards, ordinals = self._lookup(np.frombuffer(key, dtype=np.uint8), bounds)
            if shards[0] < 0:
                return False
            kept = self.kept()
            shard, ordinal = place_in(view, int(shards[0]), int(ordinals[0]))
            mine = kept.members(view, shard, cohort, place)
            return ordinal in mine

    def overlap(self, names: Iterable[str], *, as_of: str | None = None) -> Document:
        """How cohorts lie to each other: ``users`` of each, ``all`` (in every one), ``any``,
        ``only`` (in this one and no other), and ``pairs`` with ``both``, ``only_first`` and
        ``only_second``.

        Raises:
            NotFound, Corruption, EngineClosed. InvalidInput: fewer than two, or more than 20.
        """
        chosen = list(dict.fromkeys(names))
        if not 2 <= len(chosen) <= 20:
            raise InvalidInput(f"name 2 to 20 different cohorts, got {len(chosen)}")
        with self._host.running() as (view, context):
            versions = [self._version(name, view, as_of) for name in chosen]
            per_shard = context.map(
                lambda shard: _overlaps([self._of(view, shard, *v) for v in versions]),
                range(view.shards),
            )
        sums = [sum(column) for column in zip(*per_shard, strict=True)]
        count = len(chosen)
        users, only, (every, either), both = (
            sums[:count],
            sums[count : 2 * count],
            sums[2 * count : 2 * count + 2],
            iter(sums[2 * count + 2 :]),
        )
        pairs = [
            {
                "first": chosen[i],
                "second": chosen[j],
                "both": (n := next(both)),
                "only_first": users[i] - n,
                "only_second": users[j] - n,
            }
            for i in range(count)
            for j in range(i + 1, count)
        ]
        return {
            "users": dict(zip(chosen, users, strict=True)),
            "only": dict(zip(chosen, only, strict=True)),
            "all": every,
            "any": either,
            "pairs": pairs,
        }


def _overlaps(sets: list[BitMap]) -> list[int]:
    """Sizes, sizes of what no other has, of the intersection, of the union, of each pair's."""
    only = [
        len(BitMap.difference(one, *(two for j, two in enumerate(sets) if j != i)))
        for i, one in enumerate(sets)
    ]
    both = [
        one.intersection_cardinality(two) for i, one in enumerate(sets) for two in sets[i + 1 :]
    ]
    every, either = BitMap.intersection(*sets), BitMap.union(*sets)
    return [*map(len, sets), *only, len(every), len(either), *both]


def _edited(rule: Mapping[str, Any] | str | bytes) -> Definition:
    document = load(rule)
    whole = isinstance(document, dict) and "rule" in document
    given = definition_from(
        {"name": "edited", **document} if whole else {"name": "edited", "rule": document}
    )
    if given.rule is None:
        raise InvalidQuery("needs a rule", "$.rule")
    return given
