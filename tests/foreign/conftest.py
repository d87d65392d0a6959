"""Collectors, and SDKs of others as published: from PyPI (in the virtual environment), from npm,
and in headless Chromium. Tests skip where Node or Chromium are missing.
"""

from __future__ import annotations

import pytest

from tests.foreign import npm as packages
from tests.serving import running


@pytest.fixture
def live(tmp_path):
    """A collector of its own: it may be killed."""
    yield from running(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One for several tests, which tell their events apart by name."""
    yield from running(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def npm():
    """SDKs from npm; see ``tests.foreign.npm.Npm``."""
    if packages.NPM is None:
        pytest.skip("needs Node and npm: apt-get install nodejs npm")
    return packages.Npm(packages.installed())


@pytest.fixture
def page(npm, tmp_path):
    """``page(files, first="/")``: what a page tells at its end in headless Chromium; see
    ``tests.foreign.npm.told_by``.
    """
    if packages.CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium, or set CHROMIUM")
    return lambda files, first="/", seconds=60: packages.told_by(tmp_path, files, first, seconds)
