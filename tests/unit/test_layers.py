"""Imports out of native modules, which the import linter does not see, keep to the same layers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "engine"
NATIVE = sorted(p.relative_to(ENGINE) for p in ENGINE.rglob("*.pyx"))
_IMPORT = re.compile(
    r"^\s*(?:from\s+zuji\.engine\.(\S+)\s+c?import|c?import\s+zuji\.engine\.(\S+))"
)
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
LAYERS = [
    [name.strip() for name in line.split("|")]
    for line in next(c for c in CONTRACTS if c.get("exhaustive"))["layers"]
]


def level(module):
    """Number of the layer (0 is the highest) of a module's first part."""
    head = module.split(".")[0]
    return next(i for i, names in enumerate(LAYERS) if head in names)


def imports(path):
    for file in (ENGINE / path, (ENGINE / path).with_suffix(".pxd")):
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                if found := _IMPORT.match(line):
                    yield found[1] or found[2]


@pytest.mark.parametrize("path", NATIVE, ids=str)
def test_native_modules_import_downwards(path):
    own = str(path.with_suffix("")).replace("/", ".")
    for module in imports(path):
        same = module.split(".")[0] == own.split(".")[0]
        assert same or level(module) > level(own), f"{own} imports {module}"


@pytest.mark.parametrize("path", [p for p in NATIVE if "kernels" in p.parts], ids=str)
def test_native_kernels_are_a_leaf(path):
    for module in imports(path):
        assert module.startswith(("query.kernels.", "errors", "types")), module


@pytest.mark.parametrize("path", NATIVE, ids=str)
def test_every_native_module_has_a_stub(path):
    assert (ENGINE / path).with_suffix(".pyi").exists()
