"""The public names: each exists once, is documented, and costs nothing until it is used."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import zuji

ROOT = Path(__file__).resolve().parents[2]
NAMES = [name for name in zuji.__all__ if name != "__version__"]


def test_names_are_listed_once_and_in_order():
    assert len(set(zuji.__all__)) == len(zuji.__all__)
    assert zuji.__all__ == sorted(zuji.__all__)
    assert dir(zuji) == zuji.__all__


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_defined_in_one_place_and_documented(name):
    value = getattr(zuji, name)
    home = importlib.import_module(value.__module__)
    assert getattr(home, value.__name__) is value
    assert inspect.getdoc(value), f"{name} has no docstring"
    assert sum(value is getattr(zuji, other) for other in NAMES) == 1


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.isclass(getattr(zuji, n))])
def test_public_methods_are_documented_and_annotated(name):
    value = getattr(zuji, name)
    for attribute, member in vars(value).items():
        if attribute.startswith("_") or not (inspect.isfunction(member)):
            continue
        assert inspect.getdoc(member), f"{name}.{attribute} has no docstring"
        assert "return" in inspect.get_annotations(member), f"{name}.{attribute}"


def test_what_the_type_checker_sees_is_what_is_there():
    tree = ast.parse((ROOT / "src/zuji/__init__.py").read_text(encoding="utf-8"))
    told = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zuji."):
            for alias in node.names:
                told[alias.asname or alias.name] = (node.module, alias.name)
    assert sorted(told) == sorted(NAMES)
    for name, (module, attribute) in told.items():
        assert getattr(importlib.import_module(module), attribute) is getattr(zuji, name)


def test_every_error_has_a_code_of_its_own():
    errors = importlib.import_module("zuji.engine.errors")
    classes = [c for c in vars(errors).values() if inspect.isclass(c)]
    codes = [c.code for c in classes if issubclass(c, zuji.ZujiError)]
    assert len(set(codes)) == len(codes)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'nothing'"):
        zuji.nothing  # noqa: B018


def test_importing_loads_nothing_heavy():
    heavy = "{'numpy', 'pyarrow', 'pandas', 'msgpack', 'lz4', 'typer', 'rich'}"
    code = f"import sys, zuji; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_package_s():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{zuji.__version__}"\n' in text
