"""Planner rules: an ordered tuple of pure functions ``(Scan, View) -> Scan``, one idea a file.

The order matters: runs are chosen first, then narrowed by time, by columns and zone maps; the day
index is considered for what is left.
"""

from zuji.engine.query.rules.choose_runs import choose_runs
from zuji.engine.query.rules.day_index import day_index
from zuji.engine.query.rules.prune_time import prune_time
from zuji.engine.query.rules.prune_zones import prune_zones

RULES = (choose_runs, prune_time, prune_zones, day_index)

__all__ = ["RULES", "choose_runs", "day_index", "prune_time", "prune_zones"]
