"""Which events of a batch were repeats is told by position, on both ways through the binder."""

import msgpack
import pytest

import zuji

NOON = 1_790_827_200_000


def event(i, insert=None, **properties):
    found = {"event": "go", "time": NOON, "user_id": f"u{i}", "properties": properties}
    return found if insert is None else {**found, "insert_id": insert}


@pytest.mark.parametrize("regular", [False, True], ids=["by column", "natively"])
def test_positions_of_repeats(tmp_path, regular):
    with zuji.open(tmp_path) as engine:
        engine.append_batch(msgpack.packb([event(0, "a", n=1), event(1, "b", n=1)]))
        new = {"n": 2} if regular else {"m": 2}  # a new name is bound by column
        batch = [
            event(2, None, **new),
            {"event": "go"},
            event(3, "b", **new),
            event(4, "c", **new),
            event(5, "c", **new),
            event(6, "a", **new),
        ]
        result = engine.append_batch(msgpack.packb(batch))
    assert result.repeated == (2, 4, 5)
    assert (result.accepted, result.duplicates) == (2, 3)
    assert [one.index for one in result.rejected] == [1]
