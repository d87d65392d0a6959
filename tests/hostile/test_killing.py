"""A few kills under load from real SDKs; `make kill-cycles N=200` makes many."""

import pytest

from bench import killing


@pytest.mark.timeout(600)
def test_no_event_is_lost_or_doubled_when_the_server_is_killed(tmp_path):
    names = killing.sdks()
    assert "zuji" in names
    outcome = killing.run(5, 20261123, names, tmp_path, loud=False)
    assert outcome.problems == []
    assert outcome.cycles == 5
    for name in names:
        found = outcome.sdks[name]
        assert (found.lost, found.doubled, found.gave_up) == (0, 0, 0), name
        assert found.had == found.stored or name == "amplitude"
