"""The decoders' C under ASan and UBSan: mutated batches, each in an allocation of its size.

Built twice, with and without vector instructions: both must give the same columns.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from random import Random

import pytest

from tests.differential.random_batches import random_batch
from tests.differential.wire import write
from tests.differential.wire_json import write_json, write_lines

ROOT = Path(__file__).parents[2]
CC = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")


@pytest.fixture(scope="module")
def fuzzers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1", "-fsanitize=address,undefined"]
    source = str(ROOT / "tests/differential/decode_fuzz.c")
    builds = {}
    for name, more in (("usual", []), ("plain", ["-DZJ_PLAIN"])):
        out = folder / name
        options = [*flags, *more, "-fno-sanitize-recover=all", f"-I{ROOT}/engine"]
        command = [str(CC), *options, source, "-o", str(out), "-lm"]
        builds[out] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for build in builds.values():
        said = build.communicate()[1]
        if build.returncode and "asan" in said:
            pytest.skip("this compiler has no sanitizers")
        assert build.returncode == 0, said
    return list(builds)


def encoded(form: str, rng: Random) -> bytes:
    batch = random_batch(rng)
    if form == "msgpack":
        return write(batch, rng)
    if isinstance(batch, list) and rng.random() < 0.5:
        return write_lines(batch, rng)
    return write_json(batch, rng)


def run(fuzzers: list[Path], folder: Path, form: str, seeds: range, rounds: int) -> list[int]:
    corpus = folder / "corpus"
    with corpus.open("wb") as file:
        for seed in seeds:
            data = encoded(form, Random(seed))
            file.write(struct.pack("=I", len(data)) + data)
    found = []
    for fuzzer in fuzzers:
        done = subprocess.run(
            [str(fuzzer), str(corpus), str(rounds), "1"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[:4000]
        found.append(done.stdout)
    assert len(set(found)) == 1, "vector instructions must not change a result"
    return list(map(int, found[0].split()[:3]))


@pytest.mark.parametrize("form", ["msgpack", "json"])
def test_mutated_batches(fuzzers, tmp_path, form):
    outcomes = run(fuzzers, tmp_path, form, range(150), 60)
    assert min(outcomes) > 1000, "mutations must reach all three outcomes"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["msgpack", "json"])
def test_mutated_batches_long(fuzzers, tmp_path, form):
    run(fuzzers, tmp_path, form, range(3000), 1000)
