"""``zuji timeline``: what one user did."""

from typing import Annotated, Any

import typer

from zuji.server.cli.commands.options import Data, Format, Output, OutputFormat, Project, Quiet


def timeline(
    user: Annotated[str, typer.Argument(help="Id of the user.")],
    data: Data,
    project: Project = "default",
    device: Annotated[
        bool, typer.Option("--device", help="The id is that of a device: a user known by it alone.")
    ] = False,
    id_type: Annotated[
        str, typer.Option("--id", help="Type of the id: user_id, mobile ….", metavar="TYPE")
    ] = "user_id",
    event: Annotated[
        list[str] | None, typer.Option("--event", "-e", help="Only these events.", metavar="NAME")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Only events that pass this filter.", metavar="JSON")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="From this date or instant on.", metavar="TIME")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Up to this date or instant.", metavar="TIME")
    ] = None,
    newest: Annotated[bool, typer.Option("--newest", help="Newest first.")] = False,
    limit: Annotated[int, typer.Option(help="Events of a page.", min=1, max=1000)] = 100,
    cursor: Annotated[
        str | None, typer.Option(help="Go on after the page that said this.", metavar="CURSOR")
    ] = None,
    output_format: Format = OutputFormat.table,
    output: Output = None,
    quiet: Quiet = False,
) -> int:
    """Show what one user did, in time order, with numbered sessions."""
    from zuji.server.cli import asking, timelines

    document: dict[str, Any] = {
        "time": {"from": from_, "to": to},
        "e": event or "*",
        "order": "desc" if newest else "asc",
        "limit": limit,
        "cursor": cursor,
    }
    form = asking.Form(output_format.value, output, chart=False, rows=0, quiet=quiet)
    whom = "device_id" if device else id_type, user
    return timelines.timeline(document, whom, where, data, project, form)
