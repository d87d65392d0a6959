"""People erased among everything else that a project does, against a plain dict."""

from __future__ import annotations

import tempfile

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import zuji
from zuji.engine.errors import NotFound

START = 1_790_000_000_000
MONTH = 31 * 86_400_000
NOW = START + 20 * MONTH
CONFIG = zuji.Config(background=False, threads=1, memtable_rows=9, compact_after=3)
USERS = [f"user-{n}" for n in range(6)]
EVENTS = ["view", "buy"]
RANGE = {"from": "2026-01-01", "to": "2029-12-31", "grain": "all"}
one_user = st.sampled_from(USERS)
some_rows = st.lists(
    st.tuples(one_user, st.sampled_from(EVENTS), st.integers(0, 3)), min_size=1, max_size=12
)


class Erasing(RuleBasedStateMachine):
    """``kept``: events by user, as (event, n, month); ``names``: profiles."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="zuji-erasing-")
        self.kept: dict[str, list[tuple[str, int, int]]] = {}
        self.names: dict[str, str] = {}
        self.count = self.entries = 0
        self.engine = self.opened()

    def opened(self) -> zuji.Engine:
        return zuji.open(self.folder.name, config=CONFIG, clock=lambda: NOW)

    def teardown(self) -> None:
        self.engine.close()
        self.folder.cleanup()

    def put(self, user: str, event: str, month: int) -> tuple[int, int]:
        self.count += 1
        self.kept.setdefault(user, []).append((event, self.count, month))
        return self.count, START + month * MONTH + self.count

    @rule(rows=some_rows)
    def append(self, rows: list[tuple[str, str, int]]) -> None:
        events = []
        for user, event, month in rows:
            n, time = self.put(user, event, month)
            properties = {"n": n, "text": f"{user} {n}", "list": [user, str(n % 3)]}
            events.append({"event": event, "time": time, "user_id": user, "properties": properties})
        self.engine.append(events)

    @rule(rows=some_rows)
    def load(self, rows: list[tuple[str, str, int]]) -> None:
        made = [(user, event, *self.put(user, event, month)) for user, event, month in rows]
        columns = dict(zip(("u", "e", "n", "t"), map(list, zip(*made, strict=True)), strict=True))
        self.engine.append_table(pa.table(columns), {"event": "e", "user": "u", "time": "t"})

    @rule(user=one_user)
    def profile(self, user: str) -> None:
        self.count += 1
        self.names[user] = f"name of {user} {self.count}"
        record = {"type": "profile_set", "time": START + self.count, "user_id": user}
        self.engine.append([{**record, "properties": {"name": self.names[user]}}])

    @rule(users=st.sets(one_user, min_size=1))
    def erase(self, users: set[str]) -> None:
        done = self.engine.people.erase(*({"user_id": user} for user in users))
        known = {user for user in users if user in self.kept or user in self.names}
        self.entries += 1
        assert (done["erased"], done["number"]) == (len(known), self.entries)
        for user in users:
            self.kept.pop(user, None)
            self.names.pop(user, None)

    @rule(step=st.sampled_from(["flush", "compact", "purge", "open", "replay"]))
    def upkeep(self, step: str) -> None:
        if step == "open":
            self.engine.close()
            self.engine = self.opened()
        elif step == "purge":
            self.engine.people.purge()
        elif step == "replay":
            done = self.engine.people.replay_ledger(self.engine.people.ledger())
            assert done["entries"] == 0
        else:
            getattr(self.engine, step)()
        if step in ("compact", "purge"):
            assert self.engine.people.status()["waiting"] == 0
            text = {t for u in set(USERS) - {*self.kept, *self.names} for t in [u.encode()]}
            for segment in self.engine._writer.segments:
                for prop in segment.footer.props:
                    words = segment.dictionary(prop.name)
                    assert words is None or not text & {w.split(" ")[0].encode() for w in words}

    @invariant()
    def same(self) -> None:
        body = {"series": [{"e": "*", "measure": "count"}, {"e": "*", "measure": "users"}]}
        query = {"v": 1, "model": "event", "time": RANGE, "body": body}
        found = [row[-1] for row in self.engine.query(query).rows]
        assert found == [sum(map(len, self.kept.values())), len(self.kept)]

    @rule(user=one_user)
    def look(self, user: str) -> None:
        if user not in self.kept and user not in self.names:
            try:
                self.engine.people.export({"user_id": user})
            except NotFound:
                return
            raise AssertionError(f"{user} is known")
        things = list(self.engine.people.export({"user_id": user}))
        shown = [(t["event"], t["properties"]["n"]) for t in things if t["kind"] == "event"]
        assert sorted(shown) == sorted((event, n) for event, n, _ in self.kept.get(user, []))
        profiles = [thing["properties"]["name"] for thing in things if thing["kind"] == "profile"]
        assert profiles == ([self.names[user]] if user in self.names else [])


TestErasing = Erasing.TestCase
TestErasing.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
