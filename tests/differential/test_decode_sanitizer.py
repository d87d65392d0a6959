"""The decoder's C under ASan and UBSan: mutated batches, each in an allocation of its size."""

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

ROOT = Path(__file__).parents[2]
CC = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    out = tmp_path_factory.mktemp("fuzz") / "decode_fuzz"
    flags = ["-std=gnu11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    source = str(ROOT / "tests/differential/decode_fuzz.c")
    built = subprocess.run(
        [str(CC), *flags, f"-I{ROOT}/engine", source, "-o", str(out), "-lm"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode and "asan" in built.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    return out


def run(fuzzer: Path, folder: Path, seeds: range, rounds: int) -> tuple[int, int, int]:
    corpus = folder / "corpus"
    with corpus.open("wb") as file:
        for seed in seeds:
            rng = Random(seed)
            data = write(random_batch(rng), rng)
            file.write(struct.pack("=I", len(data)) + data)
    done = subprocess.run(
        [str(fuzzer), str(corpus), str(rounds), "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000]
    refused, accepted, rejected = map(int, done.stdout.split())
    return refused, accepted, rejected


def test_mutated_batches(fuzzer, tmp_path):
    refused, accepted, rejected = run(fuzzer, tmp_path, range(150), 100)
    assert min(refused, accepted, rejected) > 1000, "mutations must reach all three outcomes"


@pytest.mark.slow
def test_mutated_batches_long(fuzzer, tmp_path):
    run(fuzzer, tmp_path, range(3000), 1000)
