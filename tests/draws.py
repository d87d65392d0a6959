"""What random tests draw from: the same in every run of `make test`, so that it judges a change and
not its luck. `make explore` (ZUJI_DRAWS=new) draws something new; campaigns draw for hours.
"""

from __future__ import annotations

import os
import time

from hypothesis import settings

NEW = os.environ.get("ZUJI_DRAWS", "same") == "new"


def seed(fixed: int) -> int:
    """The seed of every run, or a new one; a test prints it."""
    return int(time.time()) if NEW else fixed


def set_up_hypothesis() -> None:
    """Examples are the same each time, or new and with how to have a failure again."""
    # No deadline: a test says nothing of time, and a busy machine stops one for a moment.
    settings.register_profile("draws", derandomize=not NEW, print_blob=NEW, deadline=None)
    settings.load_profile("draws")
