"""``zuji id``: whose an id is, and saying otherwise by hand."""

from typing import Annotated

import typer

from zuji.server.cli.commands.options import Format, Key, OutputFormat, Project
from zuji.server.cli.commands.rejected import MaybeData, ServerUrl

User = Annotated[str, typer.Argument(help="Id of the customer.", metavar="USER")]
Device = Annotated[
    str, typer.Argument(help="Id of the device, or, with --type, such as 138….", metavar="DEVICE")
]
Type = Annotated[
    str, typer.Option("--type", help="The id is a typed one: mobile, openid ….", metavar="TYPE")
]
Time = Annotated[
    str, typer.Option(help="From when on, RFC 3339 or ms since 1970 (now).", metavar="T")
]
By = Annotated[str, typer.Option(help="Who says so.", metavar="NAME")]
Why = Annotated[str, typer.Option(help="Why.", metavar="TEXT")]


def id_show(
    id_: Annotated[str, typer.Argument(help="Id of a customer or a device.", metavar="ID")],
    data: MaybeData = None,
    project: Project = "default",
    type_: Type = "",
    output_format: Format = OutputFormat.table,
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Show whose an id is: a customer's devices, a device's customers, from when to when."""
    from zuji.server.cli import identity, ids, people

    place = people.Place(data, project, url, key)
    return identity.show(place, ids.device(id_, type_), output_format.value)


def id_bind(
    user: User,
    device: Device,
    data: MaybeData = None,
    project: Project = "default",
    type_: Type = "",
    time: Time = "",
    by: By = "",
    why: Why = "",
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Say that a device is a customer's."""
    from zuji.server.cli import identity, ids, people

    place, device = people.Place(data, project, url, key), ids.device(device, type_)
    return identity.say_of(place, "bind", user, device, time, by, why)


def id_unbind(
    device: Device,
    user: Annotated[
        str | None, typer.Option("--user", help="This customer alone.", metavar="USER")
    ] = None,
    data: MaybeData = None,
    project: Project = "default",
    type_: Type = "",
    time: Time = "",
    by: By = "",
    why: Why = "",
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Say that a device is a customer's no more; without --user, that it is nobody's."""
    from zuji.server.cli import identity, ids, people

    place, device = people.Place(data, project, url, key), ids.device(device, type_)
    return identity.say_of(place, "unbind", user, device, time, by, why)


def id_undo(
    user: User,
    device: Device,
    data: MaybeData = None,
    project: Project = "default",
    type_: Type = "",
    by: By = "",
    why: Why = "",
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Forget all that was said of a device and a customer, as if it had never been."""
    from zuji.server.cli import identity, ids, people

    place, device = people.Place(data, project, url, key), ids.device(device, type_)
    return identity.say_of(place, "undo", user, device, "", by, why)


def id_log(
    data: MaybeData = None,
    project: Project = "default",
    after: Annotated[int, typer.Option(help="Those after number N.", metavar="N", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    output_format: Format = OutputFormat.table,
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """List what was said by hand, oldest first: who, when, why."""
    from zuji.server.cli import identity, people

    place = people.Place(data, project, url, key)
    return identity.log(place, after, limit, output_format.value)


def id_conflicts(
    data: MaybeData = None,
    project: Project = "default",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    output_format: Format = OutputFormat.table,
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """List moments at which a device came to be shared. Nobody was merged."""
    from zuji.server.cli import identity, people

    place = people.Place(data, project, url, key)
    return identity.conflicts(place, limit, output_format.value)


def id_shared(
    whose: Annotated[
        str, typer.Argument(help="device, first_owner or last_login.", metavar="WHOSE")
    ] = "",
    data: MaybeData = None,
    project: Project = "default",
    by: By = "",
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Show or change whose the events of shared devices are."""
    from zuji.server.cli import identity, people

    return identity.shared(people.Place(data, project, url, key), whose, by)
