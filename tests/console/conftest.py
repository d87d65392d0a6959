"""One server and one browser for all tests of the console; each test has a visitor of its own.

Skipped where Chromium, playwright or the built console (`make console`) is missing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.site import Site, Visitor, chromium

CONSOLE = Path(__file__).parents[2] / "server" / "console"
AXE = CONSOLE / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def dist():
    """The built console."""
    folder = CONSOLE / "dist"
    if not (folder / "index.html").exists():
        pytest.skip("the console was not built: make console")
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory, dist):
    """The server."""
    site = Site(tmp_path_factory.mktemp("console") / "data")
    site.start()
    yield site
    site.stop()


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window. Its driver keeps an event loop running in this thread, which tests
    of other folders must not find there: so it ends with each file.
    """
    found = chromium()
    if found is None:
        pytest.skip("needs Chromium")
    driver = pytest.importorskip("playwright.sync_api").sync_playwright().start()
    browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"], timeout=120_000)
    yield browser
    browser.close()
    driver.stop()


@pytest.fixture
def visit(site, browser):
    """Makes visitors: ``visit("zhang", language="en", width=390)``. What their pages did wrong
    fails the test at its end.
    """
    made = []

    def visit(login="", **how):
        made.append(Visitor(browser, site, login, **how))
        return made[-1]

    yield visit
    wrong = [line for one in made for line in one.close()]
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="session")
def axe():
    """The accessibility checker's source."""
    if not AXE.exists():
        pytest.skip("axe-core is missing: npm ci in server/console")
    return AXE.read_text()
