"""``python -m bench.identity``: many ids of many users: loading, looking up, linking, and queries
with links that are not yet physical. Needs no peers.

``ids``: the index alone: customers and devices become users and are stored a million at a time, are
looked up in another order, and each device is linked to its customer. ``reopen``: a process opens
what ``ids`` has stored in the same ``--folder``. ``--form``: what a device's id is: ``uuid`` (36
characters), ``text`` (36 of base64url) or ``raw`` (36 of any). ``late``: a project of nameless
devices whose customers log in, a batch at a time, each followed by a query. ``pending``: a funnel
and a retention with a share of the users pending, beside the same project without, in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.measure import cpu_seconds, peak_rss_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pyarrow as pa

    Bytes = npt.NDArray[np.uint8]
    Ints = npt.NDArray[np.int64]

PARTS = "ids,late,pending"
BATCH = 100_000
BATCH_EVENTS = 2_000
CUSTOMER_BYTES, DEVICE_BYTES = 12, 36
FORMS = ("uuid", "text", "raw")
FLUSH = 1_000_000
"""Users after which what is new is stored."""
LOOKED = 5_000_000
"""Users whose ids are looked up, at most."""
SALT = 7
START_MS = 1_790_784_000_000  # 2026-10-01 in Shanghai
DAY_MS = 86_400_000
DAYS = 30
EVENTS = ("open", "view", "apply", "pay")
ROWS_A_USER = 10
ROUNDS = 7


def keys(kind: str, numbers: Ints) -> tuple[Bytes, Ints]:
    """Keys of the id index, end to end: ``u`` and 12 digits, or ``d`` and 36 characters of a form
    (``uuid``, ``text``, ``raw``).
    """
    size = CUSTOMER_BYTES if kind == "u" else DEVICE_BYTES
    made = np.empty((len(numbers), size + 1), np.uint8)
    made[:, 0] = ord("u" if kind == "u" else "d")
    if kind == "u":
        rest = numbers.copy()
        for at in range(size, 0, -1):
            rest, digit = np.divmod(rest, 10)
            made[:, at] = ord("0") + digit.astype(np.uint8)
    elif kind == "uuid":
        mixed = _mixed(numbers, 2).view(np.uint8)
        digits = np.frombuffer(b"0123456789abcdef", np.uint8)
        where = [1 + i for i in range(DEVICE_BYTES) if i not in (8, 13, 18, 23)]
        made[:, [9, 14, 19, 24]] = ord("-")
        made[:, where[::2]], made[:, where[1::2]] = digits[mixed >> 4], digits[mixed & 15]
    else:
        chars = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
        made[:, 1:] = np.frombuffer(chars, np.uint8)[_mixed(numbers, 5).view(np.uint8) & 63][:, :36]
        if kind == "raw":
            made[:, 1] = ord(".")
    return made.reshape(-1), np.arange(0, (size + 1) * (len(numbers) + 1), size + 1)


def _mixed(numbers: Ints, words: int) -> npt.NDArray[np.uint64]:
    """So many words for each number, no two of which are alike in all words."""
    found = np.empty((len(numbers), words), np.uint64)
    for word in range(words):
        mixed = numbers.astype(np.uint64) + np.uint64(word * 0x9E3779B97F4A7C15 % 2**64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        found[:, word] = mixed ^ (mixed >> np.uint64(31))
    return found


def resident_bytes() -> int:
    """Bytes of memory that are this process's own now: resident and not of a file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def ids(users: int, form: str, folder: Path) -> dict[str, Any]:
    """The id index and the links by themselves, one thread."""
    from zuji.engine.config import DEFAULT_SHARDS
    from zuji.engine.index.identity import Identity
    from zuji.engine.index.link_store import LinkStore
    from zuji.engine.index.links import places
    from zuji.engine.storage.files import Files

    files, root = Files(), str(folder / "ids")
    (folder / "ids" / "ids").mkdir(parents=True)
    order = np.random.default_rng(1).permutation(users).astype(np.uint32)
    place = np.full(users, -1)  # of each customer
    before = resident_bytes()
    identity = Identity(files, root, DEFAULT_SHARDS, SALT, [[] for _ in range(DEFAULT_SHARDS)])
    store = LinkStore(files, root, identity, SALT, {})
    links = store.links
    spent = {"new": 0.0, "store": 0.0, "look": 0.0, "link": 0.0}
    made_files = iter(range(1 << 30))
    state: dict[str, Any] = {}

    def name() -> str:
        return f"ids/{next(made_files):08d}.bench"

    def timed(what: str, run: Callable[..., Any], *given: Any) -> Any:
        began = cpu_seconds()
        found = run(*given)
        spent[what] += cpu_seconds() - began
        return found

    def flush() -> None:
        state["ids"] = identity.save(identity.take(identity.unsaved()), name)
        identity.saved(state["ids"])
        state["links"] = store.save(store.freeze(), name)
        for gone in store.saved(state["links"]):
            files.remove(f"{root}/{gone}")

    for first in range(0, users, BATCH):
        some = np.arange(first, min(first + BATCH, users))
        place[some] = places(*timed("new", identity.resolve, *keys("u", some)))
        timed("new", identity.resolve, *keys(form, some))
        if (first + BATCH) % FLUSH == 0:
            timed("store", flush)
    timed("store", flush)
    ids_bytes, looked = identity.nbytes, min(users, LOOKED)

    def note(what: str) -> None:
        """For who does not wait for the end."""
        told = {**spent, "own_bytes": resident_bytes() - before, "users": users}
        print(what, json.dumps(told), file=sys.stderr, flush=True)

    note("loaded")
    for first in range(0, looked, BATCH):
        some = order[first : first + BATCH].astype(np.int64)
        for kind in ("u", form):
            timed("look", identity.resolve, *keys(kind, some))
    for first in range(0, users, BATCH):
        some = order[first : first + BATCH].astype(np.int64)
        when = np.full(len(some), START_MS)
        timed("link", links.together, *keys(form, some), place[some], when)
        if (first + BATCH) % FLUSH == 0:
            timed("store", flush)
        if first % (10 * FLUSH) == 0:
            note(f"{first} linked")
    timed("store", flush)
    peak, own = peak_rss_bytes() - before, resident_bytes() - before
    (folder / "state.json").write_text(json.dumps({"users": users, "form": form, **state}))
    return {
        "users": users,
        "ids": 2 * users,
        "form": form,
        "new_ids_per_cpu_s": 2 * users / spent["new"],
        "look_ups_per_cpu_s": 2 * looked / spent["look"],
        "links_per_cpu_s": users / spent["link"],
        "stored_s": spent["store"],
        "id_bytes": ids_bytes / (2 * users),
        "link_bytes": links.nbytes / users,
        "own_bytes": own,
        "peak_bytes": peak,
        "peak_bytes_an_id": peak / (2 * users),
    }


def reopen(folder: Path) -> dict[str, Any]:
    """Ids and links as a process has them that opens what :func:`ids` stored."""
    from zuji.engine.config import DEFAULT_SHARDS
    from zuji.engine.index.identity import Identity
    from zuji.engine.index.link_store import LinkStore
    from zuji.engine.index.owners import ITSELF
    from zuji.engine.storage.files import Files

    state = json.loads((folder / "state.json").read_text())
    users, root = state["users"], str(folder / "ids")
    before, before_anon, began = peak_rss_bytes(), resident_bytes(), cpu_seconds()
    identity = Identity(Files(), root, DEFAULT_SHARDS, SALT, state["ids"])
    links = LinkStore(Files(), root, identity, SALT, {"links": state["links"]}).links
    spent = cpu_seconds() - began
    peak, own = peak_rss_bytes() - before, resident_bytes() - before_anon
    some = np.random.default_rng(4).integers(0, users, min(users, BATCH))
    shard, ordinal = identity.look_up(*keys("u", some))
    owner = links.resolve(links.find(*keys(state["form"], some)), np.zeros(len(some), np.int64))
    assert (owner != ITSELF).all(), "a device without its customer"
    assert (owner == shard << 32 | ordinal).all(), "a device with another customer"
    return {"cpu_s": spent, "own_bytes": own, "peak_bytes": peak}


# -- a project -----------------------------------------------------------------------------------


def device_of(number: int) -> str:
    """A device's id."""
    return f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}-{number:09d}"


def browsing(first: int, users: int, seed: int) -> pa.Table:
    """Rows of nameless devices: each user's in time order over a month."""
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    rows = users * ROWS_A_USER
    user = np.repeat(np.arange(first, first + users), ROWS_A_USER)
    when = START_MS + rng.integers(0, DAYS * DAY_MS, rows)
    device = pa.array([device_of(n) for n in range(first, first + users)])
    return pa.table(
        {
            "event": pa.array([EVENTS[i] for i in rng.choice(4, rows, p=[0.5, 0.3, 0.15, 0.05])]),
            "time": pa.array(when, pa.timestamp("ms", "UTC")),
            "device": device.take(pa.array(user - first)),
        }
    )


def made(folder: Path, users: int) -> Any:
    """An open project of nameless devices, in as few segments as there can be."""
    import zuji

    engine = zuji.open(folder, "bench", tz="Asia/Shanghai")
    mapping = {"event": "event", "time": "time", "device": "device", "properties": {}}
    for first in range(0, users, BATCH):
        engine.append_table(browsing(first, min(BATCH, users - first), first), mapping)
    engine.flush()
    engine.compact()
    return engine


def logins(some: Ints) -> list[bytes]:
    """Batches in which customers log in on their devices, after all else."""
    import msgpack

    when = START_MS + DAYS * DAY_MS
    events = [
        {"event": "login", "time": when, "user_id": f"c{n}", "device_id": device_of(n)}
        for n in some.tolist()
    ]
    return [
        msgpack.packb({"events": events[first : first + BATCH_EVENTS]})
        for first in range(0, len(events), BATCH_EVENTS)
    ]


RANGE = {"from": "2026-10-01", "to": "2026-10-31", "tz": "Asia/Shanghai"}
PEOPLE = {
    "model": "event",
    "time": {**RANGE, "grain": "all"},
    "body": {"series": [{"e": "*", "measure": "users"}]},
}
FUNNEL = {
    "model": "funnel",
    "time": RANGE,
    "body": {
        "steps": [{"e": "open"}, {"e": "view"}, {"e": "apply"}],
        "window": {"n": 7, "unit": "day"},
    },
}
RETENTION = {
    "model": "retention",
    "time": RANGE,
    "body": {"start": {"e": "open"}, "return": {"e": "view"}, "periods": 14},
}


def late(users: int, batch: int, folder: Path) -> dict[str, Any]:
    """Customers who log in on devices of which there are rows, a batch at a time; a query after
    each, which must count everybody once.
    """
    engine = made(folder / "late", users)
    order = np.random.default_rng(2).permutation(users)
    batches = [logins(order[first : first + batch]) for first in range(0, users, batch)]
    engine.query(PEOPLE)
    acks, queries = [], []
    for blob in batches:
        began = time.perf_counter()
        engine.append_many(blob)
        acks.append(time.perf_counter() - began)
        began = time.perf_counter()
        answer = engine.query(PEOPLE)
        queries.append(time.perf_counter() - began)
        people = answer.rows[0][answer.names.index("value")]
        assert people == users, f"{people:,} people, there are {users:,}"
    status = engine.status()
    began = time.perf_counter()
    engine.flush()
    engine.compact()
    compacted = time.perf_counter() - began
    engine.close()
    return {
        "links": users,
        "rows": users * ROWS_A_USER,
        "batch": batch,
        "acks_s": sum(acks),
        "queries_s": sum(queries),
        "links_per_s": users / sum(acks),
        "links_and_queries_per_s": users / (sum(acks) + sum(queries)),
        "query_ms_first": queries[0] * 1000,
        "query_ms_median": statistics.median(queries) * 1000,
        "query_ms_most": max(queries) * 1000,
        "pending": status["pending_merges"],
        "compacted_s": compacted,
    }


def pending(users: int, share: float, folder: Path) -> dict[str, Any]:
    """Queries with ``share`` of the users pending, beside the same rows without, in turns."""
    without, beside = made(folder / "without", users), made(folder / "with", users)
    some = np.random.default_rng(3).choice(users, int(users * share), replace=False)
    beside.append_many(logins(some))
    without.append_many(logins(some + users))  # of whom there is nothing
    found: dict[str, Any] = {"users": users, "rows": users * ROWS_A_USER, "pending": len(some)}
    for name, query in (("funnel", FUNNEL), ("retention", RETENTION), ("people", PEOPLE)):
        taken: dict[str, list[float]] = {"without": [], "with": []}
        answers = {}
        for _ in range(ROUNDS + 1):
            for side, engine in (("without", without), ("with", beside)):
                began = time.perf_counter()
                answers[side] = engine.query(query)
                taken[side].append(time.perf_counter() - began)
        medians = {side: statistics.median(one[1:]) * 1000 for side, one in taken.items()}
        found[name] = {
            **{f"{side}_ms": ms for side, ms in medians.items()},
            "first_ms": taken["with"][0] * 1000,
            "ratio": medians["with"] / medians["without"],
        }
        if name != "people":
            assert answers["with"].rows == answers["without"].rows, f"{name}: other answers"
    found["told_pending"] = beside.status()["pending_merges"]
    without.close()
    beside.close()
    return found


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.identity", description=__doc__)
    parser.add_argument("--users", type=lambda text: int(float(text)), default=3_500_000)
    parser.add_argument("--batch", type=int, default=10_000, help="logins between two queries")
    parser.add_argument("--share", type=float, default=0.01, help="of users pending")
    parser.add_argument("--only", default=PARTS, help=f"parts to run, of {PARTS}")
    parser.add_argument("--form", choices=FORMS, default="uuid", help="of devices' ids")
    parser.add_argument("--folder", type=Path, help="where files go, and stay; default: they go")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made_folder:
        folder = args.folder or Path(made_folder)
        runs: dict[str, Callable[[], dict[str, Any]]] = {
            "ids": lambda: ids(args.users, args.form, folder),
            "reopen": lambda: reopen(folder),
            "late": lambda: late(args.users, args.batch, folder),
            "pending": lambda: pending(args.users, args.share, folder),
        }
        for part in args.only.split(","):
            print(part, json.dumps(runs[part](), indent=1), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
