"""``GET /v1/schema``: all that a query, a cohort or a tag of the project can name.

What stands where a property can has ``p``, the name as a query writes it. Titles and descriptions
are those of the tracking plan; of tags, cohorts and definitions their own. Works on any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zuji.engine.query.mark_names import COHORT, TAG
from zuji.engine.query.virtual.expression import Joined

if TYPE_CHECKING:
    from zuji.engine.query.context import Cancel
    from zuji.engine.query.virtual.definitions import Definitions
    from zuji.server.plan.document import Plan
    from zuji.server.projects import Project

_Entry = dict[str, Any]


def schema_of(project: Project, cancel: Cancel) -> dict[str, Any]:
    """``events, properties, tags, cohorts, items``: an entry each, in the order of their lists.

    Raises:
        QueryCancelled, Corruption, EngineClosed.
    """
    engine = project.engine
    events, properties = engine.events(), engine.properties()
    plan = project.governor.version.plan
    with engine.running(cancel) as (view, _):
        defined = view.definitions
    return {
        "events": [*_labelled(events, _of_events(plan)), *_virtual_events(defined)],
        "properties": [*_sent(properties, plan, defined), *_made(defined)],
        "tags": [{**one, "p": f"user.{TAG}{one['name']}"} for one in engine.tags.all()],
        "cohorts": [{**one, "p": f"user.{COHORT}{one['name']}"} for one in engine.cohorts.all()],
        "items": engine.items.types(),
    }


def _labelled(entries: list[_Entry], labels: dict[str, _Entry]) -> list[_Entry]:
    none = {"title": "", "description": "", "deprecated": False}
    return [{**one, "virtual": False, **labels.get(one["name"], none)} for one in entries]


def _of_events(plan: Plan) -> dict[str, _Entry]:
    return {one.name: _label(one) for one in plan.events}


def _label(declared: Any) -> _Entry:
    return {
        "title": declared.title,
        "description": declared.description,
        "deprecated": declared.deprecated,
    }


def _virtual_events(defined: Definitions) -> list[_Entry]:
    return [
        {
            "name": name,
            "virtual": True,
            "title": "",
            "description": one.description,
            "deprecated": False,
        }
        for name, one in sorted(defined.events.items())
    ]


def _sent(entries: list[_Entry], plan: Plan, defined: Definitions) -> list[_Entry]:
    """Properties that are sent, but for those that a definition hides."""
    labels = {
        "event": {one.name: _declared(one) for one in plan.properties},
        "user": {one.name: _declared(one) for one in plan.user_properties},
    }
    none = {"title": "", "description": "", "deprecated": False, "values": None}
    found = []
    for one in entries:
        p = f"{one['scope']}.{one['name']}"
        if p not in defined.properties:
            label = labels[one["scope"]].get(one["name"], none)
            joined = defined.items.get(p)
            found.append({**one, "p": p, "origin": "sent", "items": joined, **label})
    return found


def _declared(declared: Any) -> _Entry:
    values = None if declared.values is None else list(declared.values)
    return {**_label(declared), "values": values}


def _made(defined: Definitions) -> list[_Entry]:
    """Virtual properties, and those of the items that a property names."""
    return [
        {
            "name": p.partition(".")[2],
            "kind": one.kind.label,
            "scope": p.partition(".")[0],
            "events": [],
            "p": p,
            "origin": "item" if isinstance(one.tree, Joined) else "virtual",
            "items": None,
            "title": "",
            "description": one.description,
            "deprecated": False,
            "values": None,
        }
        for p, one in sorted(defined.properties.items())
    ]
