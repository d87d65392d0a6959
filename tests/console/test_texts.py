"""What the console says of every error of the API, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.console.conftest import CONSOLE
from zuji.server.api.problems import STATUS

SERVER_PAGE = Path(__file__).parents[2] / "docs" / "server.md"


def codes_of_the_docs():
    """All codes in the table "Errors of the API"."""
    section = SERVER_PAGE.read_text().split("### Errors of the API", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`(\w+)`", row.split("|")[1])}


def words(language):
    """By code."""
    text = (CONSOLE / "src" / "i18n" / language / "problems.ts").read_text()
    return dict(re.findall(r"\b([a-z_]+): '([^']+)'", text))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_code_of_the_api_has_words(language):
    codes = codes_of_the_docs()
    assert len(codes) > 25
    said = words(language)
    missing = (codes | set(STATUS)) - set(said)
    assert not missing
    chinese = {code for code in codes if re.search("[一-鿿]", said[code])}
    assert chinese == (codes if language == "zh" else set())
