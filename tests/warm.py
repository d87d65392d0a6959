"""`zuji` commands without the second that each would take to start: one process has imported what
most of them import, and forks for each.

The fork is the process that the command would be: memory, descriptors, working folder, environment,
signals and exit status of its own, and ``kill -9`` ends it like any other. What it does not show is
the start of the interpreter; tests that are about that run ``python -m zuji``. What few commands
import, they still import themselves.

Used by one thread at a time; processes that it made may be waited for by another.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTED = (
    *("numpy.ma", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "rich.table"),
    *("zuji.server.cli.app", "zuji.server.cli.importing", "zuji.server.serve"),
    *("zuji.engine.engine", "zuji.engine.bulk"),
)
MESSAGE = 1 << 18
"""Bytes of the longest request: arguments and environment."""


class Started:
    """A command that runs: as much of `subprocess.Popen` as the tests use.

    ``stdin``, ``stdout``, ``stderr``: a descriptor or a file, or ``subprocess.PIPE`` for a text
    file of that name on this side; ``subprocess.STDOUT`` as ``stderr``; nothing is /dev/null.
    """

    def __init__(self, arguments, *, cwd=None, env, stdin=None, stdout=None, stderr=None):
        self.args = ["zuji", *map(str, arguments)]
        self.returncode = None
        self.stdin = self.stdout = self.stderr = None
        self._turn = threading.Lock()
        self._said = b""
        self._status, status = os.pipe()
        mine, theirs = [], [status]
        try:
            for name, wanted in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
                theirs.append(self._theirs(name, wanted, theirs, mine))
            request = repr((self.args, os.fspath(cwd or os.getcwd()), dict(env))).encode()
            socket.send_fds(_forking(), [request], theirs)
        finally:
            for fd in {*theirs}:
                os.close(fd)
        self._read(4, None)
        self.pid = int.from_bytes(self._said[:4], "little")

    def _theirs(self, name, wanted, theirs, mine):
        if wanted == subprocess.PIPE:
            read, write = os.pipe()
            here, there = (write, read) if name == "stdin" else (read, write)
            setattr(self, name, os.fdopen(here, "w" if name == "stdin" else "r", encoding="utf-8"))
            return there
        if wanted == subprocess.STDOUT:
            return os.dup(theirs[-1])
        if wanted is None or wanted == subprocess.DEVNULL:
            return os.open(os.devnull, os.O_RDWR)
        return os.dup(wanted if isinstance(wanted, int) else wanted.fileno())

    def _read(self, size, timeout):
        """Whether so many bytes of the answer came in time: the process id, then its status."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._turn:
            while len(self._said) < size:
                left = None if until is None else max(0.0, until - time.monotonic())
                if not select.select([self._status], [], [], left)[0]:
                    return False
                found = os.read(self._status, size - len(self._said))
                assert found, "the process that forks commands ended"
                self._said += found
            return True

    def poll(self):
        """The exit status, or None while it runs; negative: killed by that signal."""
        return self._ended(0)

    def wait(self, timeout=None):
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def _ended(self, timeout):
        if self.returncode is None and self._read(8, timeout):
            with self._turn:
                if self.returncode is None:
                    self.returncode = int.from_bytes(self._said[4:], "little", signed=True)
                    os.close(self._status)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wait()
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()


def run(arguments, *, env, cwd=None, given=None, text=False, timeout=120):
    """Runs a command to its end, as `subprocess.run` does. ``given``: its standard input in bytes;
    ``text``: what it printed, decoded.
    """
    with contextlib.ExitStack() as stack:
        out, err = (stack.enter_context(open(os.memfd_create(n), "rb")) for n in ("out", "err"))
        read = None
        if given is not None:
            read, write = os.pipe()
            threading.Thread(target=_give, args=(write, given), daemon=True).start()
        command = Started(arguments, cwd=cwd, env=env, stdin=read, stdout=out, stderr=err)
        if read is not None:
            os.close(read)
        try:
            status = command.wait(timeout)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()
            raise
        found = [file.seek(0) or file.read() for file in (out, err)]
    if text:
        found = [part.decode() for part in found]
    return subprocess.CompletedProcess(command.args, status, *found)


def _give(fd, data):
    with contextlib.suppress(BrokenPipeError), open(fd, "wb") as pipe:
        pipe.write(data)


@functools.cache
def _forking():
    """This side of the socket to the process that forks; it ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("ZUJI_")},
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONUTF8": "1",
        },
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    theirs.close()
    return ours


# -- the process that forks ------------------------------------------------------------------------


def _fork_for(requests):
    """Forks for each request until the other side of the socket is gone."""
    import ast
    import gc
    import importlib
    import selectors

    sys.path.remove(os.path.dirname(__file__))
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a fork that collects would copy every page
    waiting = selectors.DefaultSelector()
    waiting.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is not requests:
                waiting.unregister(key.fileobj)
                os.close(key.fd)
                pid, status = key.data
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(status, code.to_bytes(4, "little", signed=True))
                os.close(status)
                continue
            message, fds, _, _ = socket.recv_fds(requests, MESSAGE, 4)
            if not message:  # the tests are over, or were killed: so are servers that they left
                for left in waiting.get_map().values():
                    if left.data:
                        os.kill(left.data[0], signal.SIGKILL)
                return
            pid = os.fork()
            if not pid:
                for other in list(waiting.get_map().values()):
                    os.close(other.fd)
                    if other.data:
                        os.close(other.data[1])
                waiting.close()
                requests.detach()
                os.close(fds[0])
                _become(*ast.literal_eval(message.decode()), fds[1:])
            for fd in fds[1:]:
                os.close(fd)
            _tell(fds[0], pid.to_bytes(4, "little"))
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, fds[0]))


def _tell(fd, data):
    with contextlib.suppress(BrokenPipeError):  # the test that asked is gone
        os.write(fd, data)


def _become(arguments, folder, environment, fds):
    """Is the command, to its end."""
    import atexit
    import traceback

    status = 70
    try:
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = arguments
        from zuji.server.cli import main

        try:
            main()
        except SystemExit as end:
            status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        try:
            if not sys.stdout.closed:
                sys.stdout.flush()
        except OSError:
            status = 120
        os._exit(status)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        _fork_for(requests)
