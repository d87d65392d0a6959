"""Inputs that once broke something, and a part of the corpora, read by the same functions without a
fuzzer. Native targets run theirs in `make fuzz-ci`, under the sanitizers.
"""

from importlib import import_module
from random import Random

import pytest

from tests.fuzz import corpora
from tests.fuzz.catalogue import HERE, TARGETS

PYTHON = [target for target in TARGETS if not target.native]
FOUND = [
    (target, path) for target in PYTHON for path in sorted((HERE / "found" / target.name).glob("*"))
]
SAMPLE = 100


@pytest.mark.parametrize(("target", "path"), FOUND, ids=[str(path.name) for _, path in FOUND])
def test_what_was_found_stays_mended(target, path):
    getattr(import_module(target.module), target.name)(path.read_bytes())


@pytest.mark.parametrize("target", PYTHON, ids=lambda target: target.name)
def test_a_part_of_the_corpus(target):
    inputs = corpora.committed(target.name)
    read = getattr(import_module(target.module), target.name)
    for data in Random(1).sample(inputs, min(SAMPLE, len(inputs))):
        read(data)


@pytest.mark.parametrize("target", PYTHON, ids=lambda target: target.name)
def test_first_inputs_are_read(target):
    module = import_module(target.module)
    seeds = getattr(module, f"seeds_{target.name}")()
    assert seeds
    for data in Random(2).sample(seeds, min(SAMPLE, len(seeds))):
        getattr(module, target.name)(data)


def test_every_finding_belongs_to_a_target():
    names = {target.name for target in TARGETS}
    assert {path.name for path in (HERE / "found").iterdir()} <= names


def test_the_corpora_are_small():
    kept = list(corpora.COMMITTED.glob("*"))
    assert sum(path.stat().st_size for path in kept) <= 2 << 20
    assert {path.stem for path in kept} <= {target.name for target in TARGETS}
