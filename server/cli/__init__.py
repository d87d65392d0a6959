"""The ``zuji`` command: :func:`main` is its entry point.

Commands are thin and import what they need when they run.

Exit status: 0 done, 1 done but rows were refused, 2 wrong usage or query, 3 data or storage error,
130 interrupted, 70 a bug in Zuji. Errors are one to three lines on standard error, never a
traceback; ``--debug`` (or ``ZUJI_DEBUG=1``) shows it.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder

from zuji.server.cli.outcome import guarded

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


def main() -> None:
    """Runs the command line of this process and exits with its status."""
    sys.meta_path.insert(0, _WithoutPandas())
    sys.exit(run(sys.argv[1:]))


class _WithoutPandas(MetaPathFinder):
    """Hides pandas from this process.

    pyarrow imports it, when there is one, at its first conversion: 0.5 s that no command needs.
    """

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used by the command line", name=fullname)


def _name_the_shell(arguments: list[str]) -> None:
    """Lets ``--show-completion bash`` name the shell; alone, it is the shell that asks.

    Typer offers the one or the other, chosen by this variable before the options are made.
    """
    for option in ("--show-completion", "--install-completion"):
        if option in arguments and arguments[-1] in SHELLS:
            os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"


def run(argv: list[str]) -> int:
    """Runs one command line; returns the exit status."""

    def call(arguments: list[str]) -> int:
        _name_the_shell(arguments)
        from zuji.server.cli.app import app

        status = app(args=arguments, prog_name="zuji", standalone_mode=False)
        return status if isinstance(status, int) else 0

    return guarded(call, argv)
