"""Where Arrow takes its memory from, which is a setting of the whole process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOAD = """
import sys
import pyarrow as pa
import zuji

config = zuji.Config(keep_freed_memory=sys.argv[2] == "keep")
with zuji.open(sys.argv[1], "p", config=config) as engine:
    before = pa.default_memory_pool().backend_name
    rows = {"user": ["a"], "time": [1_700_000_000_000], "event": ["e"]}
    engine.append_table(pa.table(rows), {"user": "user", "time": "time", "event": "event"})
    after = pa.default_memory_pool().backend_name
print(before == after, after)
"""


def pools(folder, keep, **more):
    environment = {k: v for k, v in os.environ.items() if k != "ARROW_DEFAULT_MEMORY_POOL"}
    command = [sys.executable, "-c", LOAD, str(folder), keep]
    done = subprocess.run(
        command, env={**environment, **more}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_bulk_loads_take_arrows_memory_from_glibc_unless_told_otherwise(tmp_path):
    assert pools(tmp_path / "a", "keep")[1] == "system"
    assert pools(tmp_path / "b", "leave")[0] == "True"
    named = pools(tmp_path / "c", "keep", ARROW_DEFAULT_MEMORY_POOL="mimalloc")
    assert named[0] == "True"
