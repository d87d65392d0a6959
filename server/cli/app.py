"""The commands by name, in the order of ``--help``; what each takes is in ``commands``."""

from collections.abc import Callable
from typing import Annotated

import typer

from zuji.server.cli.commands import (
    accounts,
    cohorts,
    definitions,
    files,
    identity,
    items,
    people,
    plans,
    projects,
    queries,
    rejected,
    serving,
    tags,
    timelines,
)

app = typer.Typer(
    name="zuji",
    help="Zuji (足迹): exact answers about what people did, from your own files of events.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        import zuji

        print(f"zuji {zuji.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show a traceback for errors.")] = False,
) -> None:
    """Zuji (足迹): exact answers about what people did, from your own files of events."""


_COMMANDS: dict[str, Callable[..., int]] = {
    "init": projects.init,
    "import": files.import_,
    "query": queries.query,
    "explain": queries.explain,
    "sql": queries.sql,
    "timeline": timelines.timeline,
    "events": queries.events,
    "properties": queries.properties,
    "compact": projects.compact,
    "scrub": projects.scrub,
    "status": projects.status,
    "export": files.export,
    "erase": people.erase,
    "export-user": people.export_user,
    "ttl": people.ttl,
    "demo": projects.demo,
    "serve": serving.serve,
    "quality": plans.quality,
    "live": plans.live,
}
_GROUPS: dict[str, tuple[str, dict[str, Callable[..., int]]]] = {
    "key": (
        "Keys of projects: make, list, take back.",
        {
            "create": serving.key_create,
            "list": serving.key_list,
            "revoke": serving.key_revoke,
        },
    ),
    "account": (
        "Accounts of the console: who signs in.",
        {
            "create": accounts.account_create,
            "list": accounts.account_list,
            "disable": accounts.account_disable,
            "enable": accounts.account_enable,
            "password": accounts.account_password,
        },
    ),
    "define": (
        "Virtual events and properties: names for filtered events and for expressions.",
        {
            "show": definitions.define_show,
            "event": definitions.define_event,
            "property": definitions.define_property,
            "set": definitions.define_set,
            "remove": definitions.define_remove,
        },
    ),
    "id": (
        "Ids: which are one customer's, and saying otherwise by hand.",
        {
            "show": identity.id_show,
            "bind": identity.id_bind,
            "unbind": identity.id_unbind,
            "undo": identity.id_undo,
            "log": identity.id_log,
            "conflicts": identity.id_conflicts,
            "shared": identity.id_shared,
        },
    ),
    "item": (
        "Items (products, outlets, content), and the properties that name them.",
        {
            "types": items.item_types,
            "list": items.item_list,
            "show": items.item_show,
            "set": items.item_set,
            "delete": items.item_delete,
            "join": items.item_join,
            "unjoin": items.item_unjoin,
        },
    ),
    "cohort": (
        "Cohorts: groups of users by rule, from a file or from an answer.",
        {
            "list": cohorts.cohort_list,
            "show": cohorts.cohort_show,
            "set": cohorts.cohort_set,
            "estimate": cohorts.cohort_estimate,
            "refresh": cohorts.cohort_refresh,
            "load": cohorts.cohort_load,
            "save": cohorts.cohort_save,
            "members": cohorts.cohort_members,
            "has": cohorts.cohort_has,
            "overlap": cohorts.cohort_overlap,
            "delete": cohorts.cohort_delete,
        },
    ),
    "tag": (
        "Tags: values that a project gives its users.",
        {
            "list": tags.tag_list,
            "show": tags.tag_show,
            "set": tags.tag_set,
            "refresh": tags.tag_refresh,
            "values": tags.tag_values,
            "user": tags.tag_user,
            "give": tags.tag_give,
            "load": tags.tag_load,
            "graph": tags.tag_graph,
            "archive": tags.tag_archive,
            "restore": tags.tag_restore,
            "delete": tags.tag_delete,
        },
    ),
    "plan": (
        "Tracking plan: what events are expected to be.",
        {
            "show": plans.plan_show,
            "set": plans.plan_set,
            "check": plans.plan_check,
            "suggest": plans.plan_suggest,
            "history": plans.plan_history,
            "diff": plans.plan_diff,
        },
    ),
    "rejected": (
        "Events that were refused: list, mend, send again.",
        {
            "list": rejected.rejected_list,
            "show": rejected.rejected_show,
            "fix": rejected.rejected_fix,
            "replay": rejected.rejected_replay,
            "discard": rejected.rejected_discard,
        },
    ),
}


def _add(into: typer.Typer, commands: dict[str, Callable[..., int]]) -> None:
    for name, command in commands.items():
        into.command(name)(command)


_add(app, _COMMANDS)
for _name, (_help, _commands) in _GROUPS.items():
    _group = typer.Typer(help=_help, no_args_is_help=True)
    app.add_typer(_group, name=_name)
    _add(_group, _commands)
