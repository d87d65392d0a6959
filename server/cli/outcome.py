"""How a command ends: exit statuses, and errors as one to three clear lines.

One table gives each stable error code its exit status and its advice; ``docs/operations.md``
repeats it and a test compares them. Imports nothing heavy: it is loaded at every start.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from zuji.engine.errors import ZujiError

if TYPE_CHECKING:
    from collections.abc import Callable

OK = 0
REJECTS = 1
USAGE = 2
FAILED = 3
BUG = 70
INTERRUPTED = 130


class Outcome(NamedTuple):
    """Exit status of an error code, what it means, and what to do."""

    status: int
    meaning: str
    advice: str


OUTCOMES: dict[str, Outcome] = {
    "invalid_query": Outcome(
        USAGE, "the query document is wrong; the message names the JSON path", "see docs/query.md"
    ),
    "invalid_event": Outcome(
        FAILED, "an event or a whole batch cannot be taken in", "correct it and send it again"
    ),
    "invalid_input": Outcome(
        USAGE, "a file, a mapping or an option is wrong", "see `zuji COMMAND --help`"
    ),
    "corruption": Outcome(
        FAILED,
        "stored bytes fail their checksum; names the file and the offset",
        "the rest stays readable; `zuji scrub` lists all damage; restore these files from a backup",
    ),
    "unsupported_format": Outcome(
        FAILED, "the files were written by a newer release, or are none of ours", "upgrade zuji"
    ),
    "storage_full": Outcome(
        FAILED,
        "the disk or quota is full; nothing acknowledged is lost",
        "free space and run the same command again: it goes on where it stopped",
    ),
    "storage_failed": Outcome(
        FAILED,
        "a write or a sync failed; the engine takes no more writes until it is reopened",
        "check the disk (dmesg), then run it again: opening recovers all that was acknowledged",
    ),
    "read_only": Outcome(
        FAILED,
        "a write to something that cannot be written",
        "check owner and mode of the data directory",
    ),
    "project_locked": Outcome(
        FAILED,
        "another process has the project open for writing",
        "wait for it to end; reading commands (query, events, status …) work meanwhile",
    ),
    "not_found": Outcome(FAILED, "a project, cohort, event or file is not there", ""),
    "overloaded": Outcome(FAILED, "too much at once", "try again a little later"),
    "query_cancelled": Outcome(INTERRUPTED, "the query was cancelled", ""),
    "query_budget_exceeded": Outcome(
        FAILED,
        "the query ran past its time or memory budget",
        "narrow the time range or the groups, or raise the budget with --seconds",
    ),
    "closed": Outcome(FAILED, "the engine was closed while it was used", ""),
    "error": Outcome(FAILED, "any other error raised on purpose", ""),
}


def guarded(call: Callable[[list[str]], int], argv: list[str]) -> int:
    """Runs ``call`` on the arguments and turns every way to end into an exit status."""
    argv, debug = _without_debug(argv)
    try:
        return call(argv)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return _pipe_closed()
    except Exception as error:  # the last stop before the user: nothing may pass it as a traceback
        if debug:
            raise
        return _explain(error, next((word for word in argv if not word.startswith("-")), ""))


def say(*lines: str) -> None:
    """Lines on standard error, the first with the program's name."""
    text = "\n".join([f"zuji: {lines[0]}", *(f"  {line}" for line in lines[1:] if line)])
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # standard error is closed: the exit status still tells
        return
    except UnicodeEncodeError:
        print(text.encode("ascii", "backslashreplace").decode(), file=sys.stderr, flush=True)


def _without_debug(argv: list[str]) -> tuple[list[str], bool]:
    """``--debug`` may stand anywhere before ``--``."""
    head, tail = (
        (argv[: argv.index("--")], argv[argv.index("--") :]) if "--" in argv else (argv, [])
    )
    debug = "--debug" in head or os.environ.get("ZUJI_DEBUG", "") not in {"", "0"}
    return [a for a in head if a != "--debug"] + tail, debug


def _explain(error: Exception, command: str) -> int:
    if isinstance(error, ZujiError):
        outcome = OUTCOMES.get(error.code, OUTCOMES["error"])
        say(str(error), outcome.advice.replace("COMMAND", command))
        return outcome.status
    if hasattr(error, "format_message"):  # the command-line library's own errors
        return _explain_usage(error)
    if type(error).__name__ == "Abort":
        say("interrupted")
        return INTERRUPTED
    if isinstance(error, OSError):
        what = (
            f"{error.filename}: {error.strerror}"
            if error.filename
            else error.strerror or str(error)
        )
        say(what)
        return FAILED
    if isinstance(error, MemoryError):
        say(
            "out of memory",
            "narrow the time range or the groups, or run it on a machine with more memory",
        )
        return FAILED
    text = (str(error).strip() or "no message").splitlines()[0][:300]
    say(
        f"internal error: {type(error).__name__}: {text}",
        "this is a bug in zuji; run the same command with --debug and report what it prints",
    )
    return BUG


def _explain_usage(error: Any) -> int:
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "zuji") if context is not None else "zuji"
    message = str(error.format_message()).strip()
    if type(error).__name__ == "NoArgsIsHelpError":
        if message:
            print(message)
        return USAGE  # otherwise the help has been printed already
    say(message or "wrong usage", f"see `{path} --help`")
    return USAGE


def _pipe_closed() -> int:
    """The reader of our output went away (``| head``): not an error."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    return 128 + signal.SIGPIPE
