"""Build script: finds every ``.pyx`` and compiles it with Cython and the system's C compiler.

Why it exists beside ``pyproject.toml``: extension modules are discovered, not listed, and the two
traps of the ``src/zuji -> ../../engine`` links are caught here with one clear line each.

Environment: ``ZUJI_DEBUG=1`` builds with bounds checks, wraparound checks and ``-O1 -g``;
``ZUJI_SANITIZE=1`` adds ASan and UBSan; ``ZUJI_ISA=plain`` or ``avx2`` builds what a processor
without wider instructions would run, for tests; ``ZUJI_ONLY=substring`` builds only matching
modules.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

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
ONLY = os.environ.get("ZUJI_ONLY", "")


def stop(message: str) -> None:
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


def files(suffix: str) -> list[Path]:
    """Files of the packages, relative to here: through the links, or in the folders of an sdist."""
    return sorted(
        Path(folder).relative_to(ROOT) / name
        for link in LINKS
        for folder, _, names in os.walk(ROOT / link, followlinks=True)
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
        if ONLY and ONLY not in name:
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


check_links()
if {"sdist", "egg_info", "dist_info", "clean", "--version"} & set(sys.argv):
    setup()  # nothing is compiled: neither a compiler nor Cython's time is needed
else:
    check_toolchain()
    setup(ext_modules=cythonized(), options={"build_ext": {"parallel": os.cpu_count() or 1}})
