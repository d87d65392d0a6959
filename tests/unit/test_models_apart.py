"""A model is known to its own modules and to one table; nothing else in the engine names it."""

import ast
import functools
import re
from pathlib import Path

import pytest

from zuji.engine.query.analyses import ANALYSES

ENGINE = Path(__file__).resolve().parents[2] / "engine"
OWN = ENGINE / "query" / "analyses"
OTHERS = sorted(p for p in ENGINE.rglob("*.py") if OWN not in p.parents)
OTHER_MEANINGS = {"event", "session", "path"}
"""Words with other meanings, too: the scope of a property, a unit of windows, a place in a file."""


@functools.cache
def named(path):
    """Texts and names of a module, without its docstrings."""
    return tuple(_named(ast.parse(path.read_text(encoding="utf-8"))))


def _named(tree):
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", ANALYSES)
def test_no_other_module_names_a_model(name):
    model = ANALYSES[name]
    secret = {model.query.__name__, model.pick.__name__}
    secret |= set() if name in OTHER_MEANINGS else {name}
    for path in OTHERS:
        for text in named(path):
            assert text not in secret, f"{path.relative_to(ENGINE)} knows {text!r}"
            assert not re.search(rf"analyses\.{name}\b", text), path


def test_a_models_structs_are_its_own():
    """Two models with a struct of one name would hide each other in the schema."""
    seen = {}
    for name, model in ANALYSES.items():
        assert model.name == name
        for struct in (model.query, model.pick):
            assert seen.setdefault(struct.__name__, struct) is struct
