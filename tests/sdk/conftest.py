"""Collectors for the tests of our SDKs."""

from __future__ import annotations

import sys

import pytest

from tests.serving import ROOT, running

sys.path.insert(0, str(ROOT / "sdk" / "python"))


@pytest.fixture
def live(tmp_path):
    """A collector of its own: it may be killed."""
    yield from running(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One for several tests, which tell their events apart by name; `live` takes seconds."""
    yield from running(tmp_path_factory.mktemp("shared"))
