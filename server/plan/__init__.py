"""The tracking plan: what a project expects of its events, and what happens to those that differ.

``document`` is what people write, ``book`` keeps its versions, ``rules`` is what a plan means for
one event, ``lane`` finds the events of a batch that need a look, ``gate`` rewrites those batches;
``governor`` puts a project's plan, counters and live view before its engine. See docs/plan.md.
"""
