"""What the console says of every error of the API, without a browser."""

from __future__ import annotations

import re

import pytest

from tests.console.conftest import CONSOLE
from zuji.server.api.problems import STATUS


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_code_of_the_api_has_words(language):
    text = (CONSOLE / "src" / "i18n" / language / "problems.ts").read_text()
    said = set(re.findall(r"\b([a-z_]+): '", text))
    assert said >= set(STATUS)
