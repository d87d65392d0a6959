"""The fuzz targets by name. Native ones are C files built by clang with libFuzzer, ASan and UBSan;
the others are Python functions run by atheris.

Each reads any bytes and either refuses them with an error that it documents or keeps its promises;
everything else (a crash, a finding of a sanitizer, another exception, an input that takes seconds
or gigabytes) is a finding. ``share``: its part of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
NATIVE = HERE / "native"
REQUESTS = "tests.fuzz.targets.requests"
DOCUMENTS = "tests.fuzz.targets.documents"
STORED = "tests.fuzz.targets.stored"


@dataclass(frozen=True, slots=True)
class Target:
    """``module``: of the function named like the target, empty when it is a C file."""

    name: str
    reads: str
    share: float = 1.0
    max_len: int = 4096
    module: str = ""

    @property
    def native(self) -> bool:
        """Whether it is a C file."""
        return not self.module

    @property
    def words(self) -> Path | None:
        """Its dictionary, when there is one."""
        path = NATIVE / f"{self.name}.dict"
        return path if path.exists() else None


TARGETS: tuple[Target, ...] = (
    Target("batch", "msgpack and JSON batches, and the log's lz4 blocks", 4.0),
    Target("sensors", "records of Sensors Analytics, forms, base64", 3.0),
    Target("plain", "usual requests of Sensors' SDKs, from HTTP to events", 3.0),
    Target("pages", "pages of segments, every codec and instruction set", 1.0, 2048),
    Target("texts", "string tables, key sets, dictionaries", 0.5, 2048),
    Target("http", "bytes of a connection", 1.0, 2048, REQUESTS),
    Target("bodies", "gzip, deflate, zstd and lz4", 1.0, 2048, REQUESTS),
    Target("protocols", "requests of every SDK", 2.0, 4096, REQUESTS),
    Target("columns", "batches in columns", 1.0, 4096, REQUESTS),
    Target("query", "query documents", 1.0, 2048, DOCUMENTS),
    Target("pick", "coordinates of cells", 0.5, 512, DOCUMENTS),
    Target("plan", "tracking plans", 0.5, 2048, DOCUMENTS),
    Target("log", "the write-ahead log and the manifest's framing", 1.0, 2048, STORED),
    Target("manifest_records", "snapshots and edits", 0.5, 1024, STORED),
    Target("segment", "segments", 1.0, 600, STORED),
    Target("small_files", "files of ids, keys and refused events", 0.5, 1024, STORED),
    Target("bitmaps", "roaring bitmaps", 0.5, 4096, STORED),
)
"""In the order they run."""


def chosen(names: str) -> list[Target]:
    """Targets by names, separated by commas; all for an empty text.

    Raises:
        SystemExit: there is no such target.
    """
    wanted = [name for name in names.split(",") if name]
    unknown = set(wanted) - {target.name for target in TARGETS}
    if unknown:
        raise SystemExit(f"no target {', '.join(sorted(unknown))}; there are: {_all()}")
    return [target for target in TARGETS if not wanted or target.name in wanted]


def _all() -> str:
    return ", ".join(target.name for target in TARGETS)
