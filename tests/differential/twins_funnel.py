"""Slow twins of the funnel kernels: every chain of a small user is written down, then judged.

Nothing here is a recurrence: a chain is a tuple of rows, a rule is a filter over tuples, and the
canonical chain is the least one by the published order. So an error in the kernels' L[] argument
cannot be repeated here.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.differential.lanes_strategy import Row, is_allowed, rows_of
from tests.differential.twins_events import bucket_of


def mask_of(step_masks, row):
    """Steps that the row matches (0 when it does not pass the lane's filter)."""
    if not row.passes:
        return 0
    masks = step_masks[row.lane]
    return int(masks) if isinstance(masks, int) else int(masks[row.row])


def funnel_fast(lanes, step_masks, k, window_ms, ties, from_ms, to_ms, allowed):
    """Levels by trying every chain."""
    levels = [0] * (k + 1)
    for user, rows in rows_of(lanes).items():
        if not is_allowed(allowed, user):
            continue
        masks = {row: mask_of(step_masks, row) & ((1 << k) - 1) for row in rows}
        rows = [row for row in rows if masks[row]]
        if ties == "any":
            rows.sort(key=lambda r: (r.time, (masks[r] & -masks[r]).bit_length(), *r.key))

        def best(i, level, start, rows=rows, masks=masks):
            """Highest level of the chains that go on from row i."""
            top = level
            if level == k:
                return top
            for j in range(i + 1, len(rows)):
                row = rows[j]
                if not masks[row] >> level & 1 or row.time - start > window_ms:
                    continue
                if ties == "strict" and row.time == rows[i].time:
                    continue
                top = max(top, best(j, level + 1, start))
            return top

        reached = 0
        for i, row in enumerate(rows):
            if masks[row] & 1 and from_ms <= row.time < to_ms:
                reached = max(reached, best(i, 1, row.time))
        for j in range(1, reached + 1):
            levels[j] += 1
    return levels


@dataclass(frozen=True, eq=False)
class Seen:
    """A row with all that a funnel asks of it. ``at`` is its place among the user's rows."""

    at: int
    row: Row
    steps: frozenset
    exclusions: frozenset
    codes: dict
    day: int
    session: int

    @property
    def time(self):
        return self.row.time


@dataclass(frozen=True)
class Funnel:
    """The arguments of ``funnel_chains`` that the rules below speak of."""

    k: int
    required: tuple
    optional: tuple
    exclusions: tuple
    held: frozenset
    order: str
    entry: str
    count: str
    ties: str
    window: tuple
    from_ms: int
    to_ms: int

    def within(self, start, row):
        kind, ms = self.window
        if kind == "ms":
            return row.time - start.time <= ms
        if kind == "same_day":
            return start.day >= 0 and row.day == start.day
        return row.session == start.session


def seen_rows(rows, step_masks, excl_masks, exclusions, hold, k, order, ties, day_edges, sessions):
    """The user's rows in the order of the funnel."""
    found = []
    for row in rows:
        mask = mask_of(step_masks, row)
        out = mask_of(excl_masks, row) if excl_masks is not None else 0
        steps = {s for s in range(k) if mask >> s & 1}
        hit = {e for e in range(len(exclusions)) if out >> e & 1}
        if not steps and not hit and order != "strict":
            continue
        codes = {}
        for s in range(k):
            if hold is not None and hold[s] is not None:
                array = hold[s][row.lane]
                codes[s] = -1 if array is None else int(array[row.row])
        low = min(steps, default=99) if ties == "any" else 0
        day = bucket_of(day_edges, row.time) if day_edges is not None else -1
        session = sessions[row.lane][row.row] if sessions is not None else 0
        usable = {s for s in steps if codes.get(s, 0) >= 0}
        found.append(((row.time, low, *row.key), row, usable, hit, codes, day, session))
    found.sort(key=lambda f: f[0])
    return [
        Seen(at, row, frozenset(steps), frozenset(hit), codes, day, session)
        for at, (_key, row, steps, hit, codes, day, session) in enumerate(found)
    ]


def may_start(f, row, low, high):
    """A row of the first step (any_order: of any step) with its time in [low, high)."""
    starts = bool(row.steps) if f.order == "any_order" else 0 in row.steps
    return starts and low <= row.time < high


def all_chains(f, rows, starters, value):
    """Every chain (tuple of rows) that the step, order, window, tie and hold rules allow."""

    def takes(row, step):
        return step in row.steps and (step not in f.held or row.codes[step] == value)

    chains = set()

    def grow(chain, left):
        chains.add(chain)
        for row in rows:
            if row.at <= chain[-1].at or not f.within(chain[0], row):
                continue
            if f.ties == "strict" and row.time <= chain[-1].time:
                continue
            if f.order == "strict" and row.at != chain[-1].at + 1:
                continue
            for step in left if f.order == "any_order" else left[:1]:
                if takes(row, step):
                    grow((*chain, row), tuple(s for s in left if s != step))

    for start in starters:
        for step in f.required if f.order == "any_order" else f.required[:1]:
            if takes(start, step):
                grow((start,), tuple(s for s in f.required if s != step))
    return chains


def cleared_at(low, high, chain, x):
    """Does an exclusion row between steps low and high hit the chain as it stands before x?"""
    return low <= len(chain) < high and chain[-1].at < x.at


def survives(f, rows, chain, until):
    """No exclusion row before ``until`` has cleared the finished chain where it stands."""
    for e, (low, high, _remove) in enumerate(f.exclusions):
        for x in rows:
            if e in x.exclusions and x.at < until and cleared_at(low, high, chain, x):
                return False
    return True


def legal(f, rows, chain):
    """No exclusion row lies after the chain's row i and up to its row j."""
    for e, (low, high, _remove) in enumerate(f.exclusions):
        if len(chain) <= low:
            continue
        last = chain[min(len(chain), high) - 1]
        for x in rows:
            if e in x.exclusions and chain[low - 1].at < x.at <= last.at:
                return False
    return True


def is_removed(f, rows, chains):
    """Does some exclusion with ``remove`` take the user out?"""
    for e, (low, high, remove) in enumerate(f.exclusions):
        if not remove:
            continue
        for x in rows:
            if e not in x.exclusions:
                continue
            standing = [
                c
                for c in chains
                if c[-1].at < x.at
                and survives(f, rows, c, x.at)
                and (f.order != "strict" or c[-1].at == x.at - 1)
            ]
            held = max((c[0].time for c in standing if len(c) >= high), default=-(10**18))
            if any(
                low <= len(c) < high and f.within(c[0], x) and c[0].time > held for c in standing
            ):
                return True
    return False


def rank_of(chain):
    """Order of chains: highest, completed first, latest start, earliest rows."""
    return (-len(chain), chain[-1].at, -chain[0].time, tuple(row.at for row in chain))


def with_optional(f, rows, chain, value):
    """``{step: row}`` of the finished chain, optional steps filled in greedily."""
    taken = {f.required[m]: row for m, row in enumerate(chain)}
    used = set(chain)
    for step in f.optional:
        before = [s for s in f.required if s < step]
        after = [s for s in f.required if s > step]
        if before[-1] not in taken:
            continue
        for row in rows:
            ends = (
                row.at < taken[after[0]].at
                if after and after[0] in taken
                else f.within(chain[0], row)
            )
            if row in used or row.at <= taken[before[-1]].at or not ends:
                continue
            if step in row.steps and (step not in f.held or row.codes[step] == value):
                taken[step] = row
                used.add(row)
                break
    return taken


def evaluate(f, rows, starters):
    """("removed" | None | (chain, {step: row})) of these rows with these starters."""
    first, last = starters[0], starters[-1]
    near = [
        r for r in rows if first.at <= r.at <= last.at or (r.at > last.at and f.within(last, r))
    ]
    codes = {code for r in near for s, code in r.codes.items() if s in r.steps and code >= 0}
    values = sorted(codes) or [None]
    best = None
    for value in values:
        chains = [c for c in all_chains(f, rows, starters, value) if legal(f, rows, c)]
        if is_removed(f, rows, chains):
            return "removed"
        for chain in sorted(chains, key=rank_of)[:1]:
            taken = (
                dict(enumerate(chain))
                if f.order == "any_order"
                else with_optional(f, rows, chain, value)
            )
            rank = (rank_of(chain), -len(taken))  # values that tie still differ in optional steps
            if best is None or rank < best[0]:
                best = (rank, chain, taken)
    return best[1:] if best else None


def unit_records(f, rows, low, high):
    """Records of one unit (a user or a session) in one bucket of starts."""
    starters = [r for r in rows if may_start(f, r, low, high)]
    if f.count != "entries":
        if f.entry == "first":
            starters = starters[:1]
        got = evaluate(f, rows, starters) if starters else None
        return [] if got is None or got == "removed" else [got]
    records = []
    while starters:
        got = evaluate(f, rows, starters[:1])
        if got == "removed":
            return []
        records.append(got)
        if f.entry == "first":
            break
        starters = [r for r in starters if r.at > got[0][-1].at]
    return records


def funnel_chains(
    lanes,
    step_masks,
    excl_masks,
    exclusions,
    hold,
    optional,
    k,
    order,
    entry,
    count,
    ties,
    window,
    day_edges,
    sessions,
    from_ms,
    to_ms,
    trend_edges,
    allowed,
):
    """[(user, bucket, reached, [(lane, row, time) | None per column])]."""
    required = tuple(s for s in range(k) if not optional >> s & 1)
    f = Funnel(
        k,
        required,
        tuple(s for s in range(k) if optional >> s & 1),
        tuple(
            (sum(s < i for s in required), sum(s < j - 1 for s in required) + 1, on == "remove")
            for i, j, on in exclusions
        ),
        frozenset(s for s in range(k) if hold is not None and hold[s] is not None),
        order,
        entry,
        count,
        ties,
        window,
        from_ms,
        to_ms,
    )
    buckets = [(0, from_ms, to_ms)]
    if trend_edges is not None:
        buckets = [
            (b, max(from_ms, trend_edges[b]), min(to_ms, trend_edges[b + 1]))
            for b in range(len(trend_edges) - 1)
        ]
    records = []
    for user, mine in rows_of(lanes).items():
        if not is_allowed(allowed, user):
            continue
        rows = seen_rows(
            mine, step_masks, excl_masks, exclusions, hold, k, order, ties, day_edges, sessions
        )
        units = [rows]
        if count == "sessions":
            units = [[r for r in rows if r.session == s] for s in sorted({r.session for r in rows})]
        for unit in units:
            for b, low, high in buckets:
                for chain, taken in unit_records(f, unit, low, high):
                    reached = (
                        (1 << len(chain)) - 1
                        if order == "any_order"
                        else sum(1 << s for s in taken)
                    )
                    columns = [
                        (taken[s].row.lane, taken[s].row.row, taken[s].time) if s in taken else None
                        for s in range(k)
                    ]
                    records.append((user, b, reached, columns))
    return records
