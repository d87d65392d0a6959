"""``zuji account``: who may sign in to the console."""

from enum import StrEnum
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Data, Database


class RoleName(StrEnum):
    """Roles, as the server has them."""

    administrator = "administrator"
    analyst = "analyst"
    viewer = "viewer"


Login = Annotated[str, typer.Argument(help="What the person signs in with.")]


def account_create(
    login: Login,
    data: Data,
    role: Annotated[RoleName, typer.Option(help="What the person may do.")] = RoleName.viewer,
    name: Annotated[str, typer.Option(help="What others see; the login if not given.")] = "",
    language: Annotated[str, typer.Option(help="Of the console: zh or en.")] = "",
    database: Database = "",
) -> int:
    """Make an account and show its one-time password, this once."""
    from zuji.server.cli import accounting

    return accounting.create(data, login, role.value, name, language, database)


def account_list(data: Data, database: Database = "") -> int:
    """List accounts."""
    from zuji.server.cli import accounting

    return accounting.show(data, database)


def account_disable(login: Login, data: Data, database: Database = "") -> int:
    """Let somebody sign in no more, and sign them out everywhere."""
    from zuji.server.cli import accounting

    return accounting.disable(data, login, database, disabled=True)


def account_enable(login: Login, data: Data, database: Database = "") -> int:
    """Let somebody sign in again."""
    from zuji.server.cli import accounting

    return accounting.disable(data, login, database, disabled=False)


def account_password(login: Login, data: Data, database: Database = "") -> int:
    """Make a one-time password for who forgot theirs, and sign them out everywhere."""
    from zuji.server.cli import accounting

    return accounting.password(data, login, database)
