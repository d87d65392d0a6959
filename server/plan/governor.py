"""The governor of a project: its plan in force, its counters, its live view, before its engine.

Everything that a project is sent passes :meth:`Governor.append`, so nothing that the plan keeps out
reaches the log. :class:`Keeper` is one thread for all projects: it takes in new plans (a quarter of
a second after they are set, whoever set them), and brings counters to the database. Thread-safe.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from zuji.engine.errors import ZujiError
from zuji.server.plan.book import PlanBook, Version
from zuji.server.plan.client import client_of_raw
from zuji.server.plan.document import OPEN
from zuji.server.plan.gate import Gate, Passed
from zuji.server.plan.judging import Judged, judged
from zuji.server.plan.live import Live
from zuji.server.plan.mending import forecast, replayed
from zuji.server.plan.parts import Part, parts_of, together
from zuji.server.plan.quality import Quality
from zuji.server.plan.repeats import Repeats
from zuji.server.plan.rules import REJECTED, WARNING, Rules
from zuji.server.plan.tokens import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zuji.engine.batch import Rejected
    from zuji.engine.engine import Engine
    from zuji.engine.writer import AppendResult
    from zuji.server.meta import Store
    from zuji.server.plan.mending import Mend, Which

    Stored = AppendResult | ZujiError

log = logging.getLogger(__name__)
_T = TypeVar("_T")
_D = TypeVar("_D")

LOOK_S = 0.25
"""How often the database is asked for new plans."""
FLUSH_S = 2.0
SETTLE_S = 1.0


class Governor:
    """Stands before the engine of one project."""

    def __init__(self, project: str, engine: Engine, store: Store, data: str) -> None:
        self.project = project
        self.store = store
        self.book = PlanBook(store)
        self._engine = engine
        self._data = data
        self._loading = threading.Lock()
        self._gate: Gate | None = None
        self.version = Version(-1, OPEN)
        self.live = Live()
        self.quality = Quality(store, project, str(engine.status()["tz"]))
        self._repeats = Repeats()
        self.refresh()

    def refresh(self) -> None:
        """Takes in the plan that counts by now.

        Raises:
            StorageFailed. InvalidInput: a newer release wrote it.
        """
        with self._loading:
            number = self.book.number(self.project)
            if number == self.version.version:
                return
            version = self.book.version(self.project, number)
            plan = version.plan
            tokens = None
            if any(p.sensitive == "tokenise" for p in (*plan.properties, *plan.user_properties)):
                tokens = tokens_of(self._data, self.project)
            rules = Rules(plan, tokens)
            gate = None if rules.idle else Gate(rules)
            if gate is not None and rules.strict:
                rules.settle(self._kinds())
            self.version, self._gate = version, gate
        log.info("plan project=%s version=%d mode=%s", self.project, number, plan.mode)

    def append(
        self, batches: Sequence[bytes], refused: Sequence[Rejected] = ()
    ) -> list[AppendResult | ZujiError]:
        """As ``Engine.append_many``, with what the plan wants; of a batch that was stored before,
        what was refused of it then is told again.
        """
        gate = self._gate
        if gate is None:
            stored = self._engine.append_many(batches, refused)
            if self.live or refused or any(_rejected(one) for one in stored):
                self._told([Passed(batch) for batch in batches], refused, stored)
            told = self._repeats.told
            return [told(one, (one,), of) for one, of in zip(batches, stored, strict=True)]
        now = _now_ms()
        parts = [_guarded(gate, batch, now) for batch in batches]
        refused = gate.scrubbed(refused)
        good = [part.passed for one in parts if not isinstance(one, ZujiError) for part in one]
        results = self._engine.append_many([one.batch for one in good], refused)
        found = any(one.findings for one in good)
        if found or self.live or refused or any(_rejected(one) for one in results):
            self._told(good, refused, results)
        each = iter(results)
        return [
            one
            if isinstance(one, ZujiError)
            else self._repeats.told(
                batch,
                [part.passed.batch for part in one],
                together(one, [next(each) for _ in one]),
            )
            for batch, one in zip(batches, parts, strict=True)
        ]

    def judged(self, batch: bytes) -> Judged:
        """What the plan makes of a batch, which is not stored and not counted."""
        return judged(self._gate, batch, _now_ms())

    def replay(self, which: Which, mend: Mend | None) -> dict[str, Any]:
        """Stores what of the quarantine the plan takes by now; see :func:`.mending.replayed`."""
        return replayed(self._engine, which, mend, self._gate)

    def forecast(self, which: Which, mend: Mend | None, limit: int) -> list[dict[str, Any]]:
        """What :meth:`replay` would do; see :func:`.mending.forecast`."""
        return forecast(self._engine, which, mend, self._gate, limit)

    def settle(self) -> None:
        """Lets the engine cast what it can by now."""
        gate = self._gate
        if gate is not None and gate.cast:
            gate.cast = False
            gate.rules.settle(self._kinds())
            gate.forget()

    def _kinds(self) -> dict[tuple[str, str], str]:
        return {(p["scope"], p["name"]): p["kind"] for p in self._engine.properties()}

    def _told(
        self, passed: Sequence[Passed], refused: Sequence[Rejected], stored: Sequence[Stored]
    ) -> None:
        """Counts and shows what became of batches. What fails here must not fail the batches."""
        now = _now_ms()
        try:
            self.quality.add(_found(passed, refused, stored), now)
            if self.live:
                for one, result in zip(passed, stored, strict=True):
                    if not isinstance(result, ZujiError):
                        self.live.publish(one.batch, result, one.findings, now)
                self.live.publish_refused(refused, now)
        except Exception as problem:  # its text may have contents of events
            log.warning("counting project=%s failed: %s", self.project, type(problem).__name__)


class Keeper:
    """The thread that keeps governors up to date."""

    def __init__(self, store: Store) -> None:
        self._watch = store.watch()
        self._governors: tuple[Governor, ...] = ()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zuji-plans", daemon=True)
        self._thread.start()

    def add(self, governor: Governor) -> None:
        """Keeps a governor, too."""
        self._governors = (*self._governors, governor)

    def close(self) -> None:
        """Writes what was counted and ends the thread."""
        self._ending.set()
        self._thread.join()
        for governor in self._governors:
            _try(governor.quality.flush)
        self._watch.close()

    def _run(self) -> None:
        stale = False
        flushed = settled = time.monotonic()
        while not self._ending.wait(LOOK_S):
            now = time.monotonic()
            changed = _try(self._watch.changed)
            stale = stale or changed is None or changed
            if stale:  # a plan that could not be read is read again: until then the old one counts
                done = [_try(one.refresh, True) for one in self._governors]
                stale = not all(done)
            if now - settled >= SETTLE_S:
                settled = now
                for governor in self._governors:
                    _try(governor.settle)
            if now - flushed >= FLUSH_S:
                flushed = now
                for governor in self._governors:
                    _try(governor.quality.flush)


def _try(call: Callable[[], _T], done: _D | None = None) -> _T | _D | None:
    """The result of a call, or ``done`` if given; None after an error, which is logged."""
    try:
        found = call()
    except Exception as problem:  # the thread serves all projects and goes on
        code = problem.code if isinstance(problem, ZujiError) else type(problem).__name__
        log.warning("keeping plans failed, goes on code=%s", code)
        return None
    return found if done is None else done


def _guarded(gate: Gate, batch: bytes, now_ms: int) -> list[Part] | ZujiError:
    try:
        return parts_of(gate, batch, now_ms)
    except ZujiError as problem:
        return problem


def _rejected(stored: Stored) -> bool:
    return not isinstance(stored, ZujiError) and bool(stored.rejected)


def _found(
    passed: Sequence[Passed], refused: Sequence[Rejected], stored: Sequence[Stored]
) -> Iterator[tuple[str, str, str, str]]:
    """(reason, severity, SDK, app version) of everything that was found."""
    for one, result in zip(passed, stored, strict=True):
        if isinstance(result, ZujiError):
            continue
        if result.duplicates and not result.accepted and not result.rejected:
            continue  # all of it was there and was counted then
        for finding in one.findings:
            if finding.severity == WARNING:
                yield finding.code, WARNING, finding.sdk, finding.app
        for rejected in result.rejected:
            yield rejected.reason, REJECTED, *client_of_raw(rejected.raw)
    for rejected in refused:
        yield rejected.reason, REJECTED, *client_of_raw(rejected.raw)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
