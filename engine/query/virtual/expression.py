"""The language of virtual properties: one line of text → a small typed tree.

``if(event.amount >= 1000, "large", "small")``. The text is read by Python's own parser, of which
only these forms are taken: constants, ``event.NAME`` and ``user.NAME`` (``event["any name"]``),
arithmetic, comparisons, ``and or not``, and the functions of :data:`FUNCTIONS`. Nothing is ever
executed. Types are checked when the expression is bound to the kinds of the properties it reads.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from zuji.engine.query.problems import Problem, nearest, one_of
from zuji.engine.query.properties import SCOPES, check_property
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zuji.engine.types import I64, Column

MAX_CHARS: Final = 2_000
MAX_NODES: Final = 300
MAX_DEPTH: Final = 50


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, text or truth value."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Read:
    """The value of a property: ``event.NAME`` or ``user.NAME``."""

    p: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator over other expressions."""

    name: str
    args: tuple[Expression, ...]


class Items(Protocol):
    """Items of one type at one moment."""

    def of_texts(self, name: str, dictionary: Sequence[str]) -> Column | None:
        """A property of the items that texts name, an entry each; None when none has it."""

    def of_numbers(self, name: str, values: I64) -> Column | None:
        """The same of items that whole numbers name."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Property ``name`` of the item that the property ``key`` names. Not written in the language:
    it is what ``event.KEY.NAME`` stands for.
    """

    key: str
    name: str
    items: Items


Expression = Constant | Read | Call | Joined

NUMBER, TEXT, TRUTH, INSTANT, LIST, ANY = "number", "text", "truth", "instant", "list", "any"
TYPE_OF: Final = {
    Kind.BOOL: TRUTH,
    Kind.INT: NUMBER,
    Kind.FLOAT: NUMBER,
    Kind.DATETIME: INSTANT,
    Kind.STRING: TEXT,
    Kind.LIST: LIST,
}


@dataclass(frozen=True, slots=True)
class Signature:
    """Types of a function. ``repeats``: the last argument may come any number of times. ``same``:
    all arguments of type ``any`` have one type, which is that of the result when it is ``any``.
    """

    args: tuple[str, ...]
    result: str
    repeats: bool = False
    optional: int = 0


FUNCTIONS: Final[dict[str, Signature]] = {
    "if": Signature((TRUTH, ANY, ANY), ANY),
    "coalesce": Signature((ANY,), ANY, repeats=True),
    "is_set": Signature((ANY,), TRUTH),
    "concat": Signature((TEXT,), TEXT, repeats=True),
    "lower": Signature((TEXT,), TEXT),
    "upper": Signature((TEXT,), TEXT),
    "trim": Signature((TEXT,), TEXT),
    "substr": Signature((TEXT, NUMBER, NUMBER), TEXT, optional=1),
    "split": Signature((TEXT, TEXT, NUMBER), TEXT),
    "replace": Signature((TEXT, TEXT, TEXT), TEXT),
    "length": Signature((ANY,), NUMBER),
    "contains": Signature((TEXT, TEXT), TRUTH),
    "starts_with": Signature((TEXT, TEXT), TRUTH),
    "ends_with": Signature((TEXT, TEXT), TRUTH),
    "has": Signature((LIST, TEXT), TRUTH),
    "number": Signature((TEXT,), NUMBER),
    "text": Signature((ANY,), TEXT),
    "abs": Signature((NUMBER,), NUMBER),
    "floor": Signature((NUMBER,), NUMBER),
    "ceil": Signature((NUMBER,), NUMBER),
    "round": Signature((NUMBER, NUMBER), NUMBER, optional=1),
    "min": Signature((NUMBER,), NUMBER, repeats=True),
    "max": Signature((NUMBER,), NUMBER, repeats=True),
    "year": Signature((INSTANT,), NUMBER),
    "month": Signature((INSTANT,), NUMBER),
    "day": Signature((INSTANT,), NUMBER),
    "hour": Signature((INSTANT,), NUMBER),
    "weekday": Signature((INSTANT,), NUMBER),
    "date": Signature((INSTANT,), TEXT),
    "days_between": Signature((INSTANT, INSTANT), NUMBER),
}
"""Functions by name."""
OPERATORS: Final[dict[str, Signature]] = {
    **dict.fromkeys("+-*/%", Signature((NUMBER, NUMBER), NUMBER)),
    "negate": Signature((NUMBER,), NUMBER),
    **dict.fromkeys(("==", "!="), Signature((ANY, ANY), TRUTH)),
    **dict.fromkeys(("<", "<=", ">", ">="), Signature((ANY, ANY), TRUTH)),
    "and": Signature((TRUTH,), TRUTH, repeats=True),
    "or": Signature((TRUTH,), TRUTH, repeats=True),
    "not": Signature((TRUTH,), TRUTH),
}
_ARITHMETIC: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Mod: "%",
}
_COMPARISON: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def parsed(text: str) -> Expression:
    """The tree of an expression. Raises Problem that says where. O(length)."""
    if not text.strip():
        raise Problem("an expression is not empty")
    if len(text) > MAX_CHARS:
        raise Problem(f"an expression has at most {MAX_CHARS:,} characters")
    try:
        # "if" is a word of Python; the language's function of that name is read as another one.
        tree = ast.parse(_with_if(text.strip()), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        at = f" at character {error.offset}" if isinstance(error, SyntaxError) else ""
        raise Problem(
            f"the expression cannot be read{at}; a name with other characters than "
            'letters is written event["name"]'
        ) from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise Problem("the expression is too long; define parts of it as properties of their own")
    return _Reader().of(tree.body, 0)


_IF: Final = "_if_"


def _with_if(text: str) -> str:
    """The text with ``if(`` as a name of its own, outside of quotes."""
    out, i, quote = [], 0, ""
    while i < len(text):
        c = text[i]
        if quote:
            if c == "\\":
                out.append(text[i : i + 2])
                i += 2
                continue
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif text.startswith("if", i) and text[i + 2 :].lstrip()[:1] == "(":
            before = text[i - 1] if i else " "
            if not (before.isalnum() or before in "_."):
                out.append(_IF)
                i += 2
                continue
        out.append(c)
        i += 1
    return "".join(out)


class _Reader:
    def of(self, node: ast.expr, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise Problem(f"an expression nests at most {MAX_DEPTH} levels deep")
        deeper = depth + 1
        if isinstance(node, ast.Constant):
            return self._constant(node.value)
        if isinstance(node, ast.Attribute | ast.Subscript):
            return Read(self._property(node))
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            args = (self.of(node.left, deeper), self.of(node.right, deeper))
            return Call(_ARITHMETIC[type(node.op)], args)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            name = "not" if isinstance(node.op, ast.Not) else "negate"
            return Call(name, (self.of(node.operand, deeper),))
        if isinstance(node, ast.BoolOp):
            name = "and" if isinstance(node.op, ast.And) else "or"
            return Call(name, tuple(self.of(each, deeper) for each in node.values))
        if isinstance(node, ast.Compare):
            return self._compared(node, deeper)
        if isinstance(node, ast.Call):
            return self._called(node, deeper)
        if isinstance(node, ast.Name):
            name = "if" if node.id == _IF else node.id
            raise Problem(
                f"unknown name {name!r}; a property is written event.{name} or user.{name}"
            )
        return self._unknown(node)

    def _unknown(self, node: ast.AST) -> NoReturn:
        raise Problem(
            f"{ast.unparse(node)[:60]!r} is no part of the language; it has constants, properties, "
            "+ - * / %, comparisons, and, or, not, and functions"
        )

    def _constant(self, value: object) -> Constant:
        if not isinstance(value, str | int | float | bool):
            raise Problem(
                f"{value!r} is no constant of the language; write text in quotes, a "
                "number, True or False"
            )
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise Problem("whole numbers must fit in 64 bits")
        return Constant(value)

    def _property(self, node: ast.Attribute | ast.Subscript) -> str:
        inner: list[str] = []  # of event.KEY.NAME
        while isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            inner.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Attribute):
            name: object = ".".join([node.attr, *inner])
        else:
            name = node.slice.value if isinstance(node.slice, ast.Constant) else None
        scope = node.value
        if not isinstance(name, str) or not isinstance(scope, ast.Name):
            self._unknown(node)
        if scope.id not in SCOPES:
            raise Problem(
                f"unknown scope {scope.id!r}, expected {one_of(SCOPES)}{nearest(scope.id, SCOPES)}"
            )
        return check_property(f"{scope.id}.{name}")

    def _compared(self, node: ast.Compare, depth: int) -> Expression:
        terms = [node.left, *node.comparators]
        pairs = []
        for i, op in enumerate(node.ops):
            if type(op) not in _COMPARISON:
                self._unknown(node)
            args = (self.of(terms[i], depth), self.of(terms[i + 1], depth))
            pairs.append(Call(_COMPARISON[type(op)], args))
        return pairs[0] if len(pairs) == 1 else Call("and", tuple(pairs))

    def _called(self, node: ast.Call, depth: int) -> Expression:
        if not isinstance(node.func, ast.Name) or node.keywords:
            self._unknown(node)
        name = "if" if node.func.id == _IF else node.func.id
        if name not in FUNCTIONS:
            raise Problem(
                f"unknown function {name!r}{nearest(name, FUNCTIONS)}; there are "
                f"{', '.join(FUNCTIONS)}"
            )
        signature, given = FUNCTIONS[name], len(node.args)
        most = len(signature.args)
        if given < most - signature.optional or (given > most and not signature.repeats):
            raise Problem(f"{name} takes {_wanted(signature)}, got {given}")
        return Call(name, tuple(self.of(each, depth) for each in node.args))


def _wanted(signature: Signature) -> str:
    most = len(signature.args)
    if signature.repeats:
        return f"{most} or more values"
    if signature.optional:
        return f"{most - signature.optional} to {most} values"
    return f"{most} value" if most == 1 else f"{most} values"


def reads(tree: Expression) -> Iterator[str]:
    """Properties that an expression reads, left to right."""
    if isinstance(tree, Read):
        yield tree.p
    elif isinstance(tree, Joined):
        yield tree.key
    elif isinstance(tree, Call):
        for each in tree.args:
            yield from reads(each)


def checked(tree: Expression, kind_of: Callable[[str], Kind | None]) -> str:
    """Type of the result, ``any`` when it is not known yet. Raises Problem for types that do not
    fit. ``kind_of``: of a property, None when nobody sent it.
    """
    if isinstance(tree, Constant):
        if isinstance(tree.value, bool):
            return TRUTH
        return TEXT if isinstance(tree.value, str) else NUMBER
    if isinstance(tree, Read):
        kind = kind_of(tree.p)
        return ANY if kind is None else TYPE_OF[kind]
    if isinstance(tree, Joined):
        return ANY
    signature = FUNCTIONS.get(tree.name) or OPERATORS[tree.name]
    wanted = list(signature.args)
    wanted += wanted[-1:] * (len(tree.args) - len(wanted))
    free = ANY
    for i, (each, want) in enumerate(zip(tree.args, wanted, strict=False)):
        got = checked(each, kind_of)
        if want == ANY and tree.name not in ("is_set", "length", "text"):
            if LIST in (got, free) and got != free and ANY not in (got, free):
                _misfit(tree.name, i, free, got)
            if free not in (ANY, got) and got != ANY:
                _misfit(tree.name, i, free, got)
            free = got if free == ANY else free
            if got == LIST:
                _misfit(tree.name, i, "a single value", got)
        elif want not in (ANY, got) and got != ANY:
            _misfit(tree.name, i, want, got)
        elif tree.name == "length" and got not in (TEXT, LIST, ANY):
            _misfit(tree.name, i, "text or list", got)
        elif tree.name == "text" and got == LIST:
            _misfit(tree.name, i, "a single value", got)
    if tree.name in ("<", "<=", ">", ">=") and free == TRUTH:
        _misfit(tree.name, 0, "a number, text or instant", free)
    return free if signature.result == ANY else signature.result


def _misfit(name: str, at: int, wanted: str, got: str) -> NoReturn:
    raise Problem(f"value {at + 1} of {name!r} is of type {got}, expected {wanted}")
