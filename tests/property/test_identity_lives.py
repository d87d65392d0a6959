"""Random histories of ids, from a fixed seed and a new one: owners, conflicts and answers in every
state. The long campaign is ``python -m tests.property.campaign_identity``.
"""

from __future__ import annotations

import time

import pytest

from tests.oracle.histories import history
from tests.property.campaign_identity import differences

FIXED_SEED = 20_261_123
FRESH_SEED = int(time.time())
HISTORIES = 20


@pytest.mark.parametrize("number", range(HISTORIES))
@pytest.mark.parametrize("seed", [FIXED_SEED, FRESH_SEED], ids=["fixed", "fresh"])
def test_random_histories(seed, number):
    print(f"history {seed * 1_000 + number}")
    found = differences(history(seed * 1_000 + number))
    assert not found, "\n".join(found)
