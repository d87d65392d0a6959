"""Random histories of ids, from a fixed seed: owners, conflicts and answers in every state.

The long campaign is ``python -m tests.property.campaign_identity``.
"""

from __future__ import annotations

import pytest

from tests.draws import seed
from tests.oracle.histories import history
from tests.property.campaign_identity import differences

SEED = seed(20_261_123)
HISTORIES = 20


@pytest.mark.parametrize("number", range(HISTORIES))
def test_random_histories(number):
    print(f"history {SEED * 1_000 + number}")
    found = differences(history(SEED * 1_000 + number))
    assert not found, "\n".join(found)
