"""``zuji item``: items (products, outlets, content), and the properties that name them."""

from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Data, Format, OutputFormat, Project

ItemType = Annotated[str, typer.Argument(help="Type of the items.", metavar="TYPE")]
P = Annotated[str, typer.Argument(help="event.NAME or user.NAME.", metavar="P")]


def item_types(
    data: Data, project: Project = "default", output_format: Format = OutputFormat.table
) -> int:
    """List the types: items, properties, and the properties that name items of them."""
    from zuji.server.cli import itemising

    return itemising.types(data, project, output_format.value)


def item_list(
    item_type: ItemType,
    data: Data,
    project: Project = "default",
    after: Annotated[str, typer.Option(help="Go on behind this item.", metavar="ID")] = "",
    limit: Annotated[int, typer.Option(help="Items at most; 0: all.")] = 20,
) -> int:
    """Print items, JSON lines."""
    from zuji.server.cli import itemising

    return itemising.listed(data, project, item_type, after, limit)


def item_show(
    item_type: ItemType,
    item_id: Annotated[str, typer.Argument(help="Id of the item.", metavar="ID")],
    data: Data,
    project: Project = "default",
) -> int:
    """Print one item, JSON."""
    from zuji.server.cli import itemising

    return itemising.show(data, project, item_type, item_id)


def item_set(
    item_type: ItemType,
    file: Annotated[Path, typer.Argument(help="{ID: {NAME: VALUE}}, JSON; '-': standard input.")],
    data: Data,
    project: Project = "default",
) -> int:
    """Set properties of items; those that are not named stay. Tables: `zuji import --kind item`."""
    from zuji.server.cli import itemising

    return itemising.put(data, project, item_type, file)


def item_delete(
    item_type: ItemType,
    ids: Annotated[list[str], typer.Argument(help="Ids of items.", metavar="ID…")],
    data: Data,
    project: Project = "default",
) -> int:
    """Delete items."""
    from zuji.server.cli import itemising

    return itemising.delete(data, project, item_type, ids)


def item_join(p: P, item_type: ItemType, data: Data, project: Project = "default") -> int:
    """Say that a property names items of a type: P.NAME is then their property NAME."""
    from zuji.server.cli import itemising

    return itemising.join(data, project, p, item_type)


def item_unjoin(p: P, data: Data, project: Project = "default") -> int:
    """Take that back; the items stay."""
    from zuji.server.cli import itemising

    return itemising.unjoin(data, project, p)
