"""Builds the native modules another way and runs the tests of native code on that build.

``python tests/variants.py plain avx2 sanitize``: each named build goes to a folder of its own under
``build/variants`` (the modules in use are not touched) and is tested there. `plain` and `avx2`
stand for processors without the wider instructions: kernels choose their code by what the processor
has, so on one machine only one of the paths would ever run. `sanitize` is the code under ASan and
UBSan; any finding ends the run. Further arguments, after ``--``, go to pytest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VARIANTS = {
    "plain": {"ZUJI_ISA": "plain"},
    "avx2": {"ZUJI_ISA": "avx2"},
    "sanitize": {"ZUJI_SANITIZE": "1"},
}
TESTS = (
    "tests/differential",
    "tests/golden",
    "tests/property/test_engine_vs_oracle.py",
    "tests/property/test_filters_twin.py",
    "tests/property/test_memtable.py",
    "tests/property/test_segments.py",
    "tests/unit/test_codecs.py",
    "tests/unit/test_decode.py",
    "tests/unit/test_dedup.py",
    "tests/unit/test_dictionary.py",
    "tests/unit/test_filters.py",
    "tests/unit/test_identity.py",
    "tests/unit/test_key_table.py",
    "tests/unit/test_owned.py",
    "tests/unit/test_segment_parts.py",
    "tests/unit/test_sort.py",
    "tests/unit/test_strings.py",
)
ELSEWHERE = ("test_vs_sql.py", "test_decode_sanitizer.py")
"""Compare with other programs, or build for themselves."""


def library(name: str) -> str:
    """Path of a sanitizer's runtime, to be loaded before Python."""
    command = [os.environ.get("CC", "gcc"), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def build(name: str) -> Path:
    """The package with its native modules built as ``name``; returns its folder. With ``ZUJI_ONLY``
    the other modules are those in use.
    """
    folder = ROOT / "build/variants" / name
    skip = shutil.ignore_patterns("*.so", "__pycache__")
    for part in ("engine", "server"):
        shutil.rmtree(folder / "zuji" / part, ignore_errors=True)
        shutil.copytree(ROOT / part, folder / "zuji" / part, ignore=skip)
    for file in (ROOT / "src/zuji").glob("*.py"):
        shutil.copy(file, folder / "zuji")
    command = [sys.executable, "setup.py", "-q", "build_ext"]
    command += ["--build-lib", str(folder), "--build-temp", str(folder / "objects")]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **VARIANTS[name]}, check=True)
    for part in ("engine", "server"):
        for usual in (ROOT / part).rglob("*.so"):
            there = folder / "zuji" / usual.relative_to(ROOT)
            if not there.exists() and "node_modules" not in usual.parts:
                shutil.copy(usual, there)
    return folder


def test(name: str, folder: Path, arguments: list[str]) -> int:
    """Exit code of pytest on the build in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    if name == "sanitize":
        environment["LD_PRELOAD"] = f"{library('libasan.so')}:{library('libubsan.so')}"
        environment["ASAN_OPTIONS"] = "detect_leaks=0:allocator_may_return_null=1"
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    check = "import pathlib, sys, zuji; sys.exit(pathlib.Path(sys.argv[1]) not in "
    check += "pathlib.Path(zuji.__file__).parents)"
    subprocess.run([sys.executable, "-c", check, str(folder)], env=environment, check=True)
    command = [sys.executable, "-m", "pytest", "-m", "not slow", "-o", "timeout=1800"]
    command += [f"--ignore-glob=*/{file}" for file in ELSEWHERE]
    chosen = [a for a in arguments if a.startswith("tests/")]
    command += [*(chosen or TESTS), *(a for a in arguments if a not in chosen)]
    print(f"--- {name}", flush=True)
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main(arguments: list[str]) -> int:
    """Builds and tests the named variants; the number of those that failed."""
    names = arguments[: arguments.index("--")] if "--" in arguments else arguments
    unknown = [name for name in names if name not in VARIANTS]
    if not names or unknown:
        sys.exit(f"usage: variants.py {' | '.join(VARIANTS)} … [-- pytest arguments]")
    return sum(test(n, build(n), arguments[len(names) + 1 :]) != 0 for n in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
