"""Formulas over series: ``"B / A * 100"`` → a small tree → values. No names but those of series.

Grammar: ``sum = product (("+" | "-") product)*``; ``product = unary (("*" | "/") unary)*``;
``unary = "-" unary | atom``; ``atom = number | name | "(" sum ")"``. A name is a letter (``A`` the
first series, ``B`` the second …) or the ``as`` of a series when that is an identifier.
Division by zero, and anything that touches a null, is null (NaN inside).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from zuji.engine.query.problems import Problem, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.types import F64

MAX_CHARS: Final = 1_000
MAX_DEPTH: Final = 50
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|([^\W\d]\w*)|([-+*/()]))")


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class SeriesRef:
    """The values of series number ``index`` (0-based)."""

    index: int


@dataclass(frozen=True, slots=True)
class Operation:
    """``left op right``."""

    op: Literal["+", "-", "*", "/"]
    left: Expression
    right: Expression


Expression = Number | SeriesRef | Operation


def letter(index: int) -> str:
    """``A`` … ``Z`` of a series by its position."""
    return chr(ord("A") + index)


def parse_formula(text: str, names: Mapping[str, int]) -> Expression:
    """Reads a formula. ``names``: name → series index. Raises Problem.

    O(length).
    """
    if not text.strip():
        raise Problem("a formula is not empty")
    if len(text) > MAX_CHARS:
        raise Problem(f"a formula has at most {MAX_CHARS:,} characters")
    return _Reader(text, names).read()


def evaluate(tree: Expression, series: list[F64]) -> F64:
    """Values of the formula over arrays of equal shape; NaN stands for null. O(n · nodes)."""
    with np.errstate(all="ignore"):
        out = np.array(np.broadcast_to(_value(tree, series), series[0].shape), np.float64)
    out[~np.isfinite(out)] = np.nan
    return out


def series_of(tree: Expression) -> set[int]:
    """The series (by index) that a formula reads."""
    if isinstance(tree, Operation):
        return series_of(tree.left) | series_of(tree.right)
    return {tree.index} if isinstance(tree, SeriesRef) else set()


def _value(tree: Expression, series: list[F64]) -> F64:
    if isinstance(tree, Number):
        return np.array(tree.value)
    if isinstance(tree, SeriesRef):
        return series[tree.index]
    left, right = _value(tree.left, series), _value(tree.right, series)
    if tree.op == "+":
        return np.asarray(left + right)
    if tree.op == "-":
        return np.asarray(left - right)
    if tree.op == "*":
        return np.asarray(left * right)
    return np.asarray(left / np.where(right == 0, np.nan, right))


class _Reader:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, text: str, names: Mapping[str, int]) -> None:
        self.names = names
        self.tokens: list[tuple[str, str]] = []
        self.at = 0
        self.depth = 0
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise Problem(
                    f"unexpected character {text[position:].lstrip()[0]!r} in a formula; it has "
                    "numbers, names of series, + - * / and parentheses"
                )
            kind = ("number", "name", "sign")[(match.lastindex or 1) - 1]
            self.tokens.append((kind, match[match.lastindex or 1]))
            position = match.end()

    def read(self) -> Expression:
        tree = self.sum()
        if self.at < len(self.tokens):
            raise Problem(f"unexpected {self.tokens[self.at][1]!r} in a formula")
        return tree

    def sum(self) -> Expression:
        tree = self.product()
        while (op := self.sign("+", "-")) is not None:
            tree = Operation("+" if op == "+" else "-", tree, self.product())
        return tree

    def product(self) -> Expression:
        tree = self.unary()
        while (op := self.sign("*", "/")) is not None:
            tree = Operation("*" if op == "*" else "/", tree, self.unary())
        return tree

    def unary(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Problem(f"a formula nests at most {MAX_DEPTH} levels deep")
        if self.sign("-"):
            tree: Expression = Operation("-", Number(0.0), self.unary())
        else:
            tree = self.atom()
        self.depth -= 1
        return tree

    def atom(self) -> Expression:
        if self.sign("("):
            tree = self.sum()
            if not self.sign(")"):
                raise Problem("a parenthesis is not closed in a formula")
            return tree
        if self.at == len(self.tokens):
            raise Problem("a formula ends where a number or a series was expected")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return Number(float(text))
        if kind == "sign":
            raise Problem(f"unexpected {text!r} in a formula")
        if text not in self.names:
            raise Problem(unknown("series", text, self.names))
        return SeriesRef(self.names[text])

    def sign(self, *wanted: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "sign":
            text = self.tokens[self.at][1]
            if text in wanted:
                self.at += 1
                return text
        return None
