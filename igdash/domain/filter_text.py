"""Filters as people write them: text to tree and back.

A hand-written parser, because its errors are half of the language: each names the part of the text
that is wrong and what may stand there. It never blocks: the length of the text and the depth of
parentheses are limited, and every step moves forward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from igdash.domain.filter_fields import FieldIndex, number_path, value_path
from igdash.domain.filter_terms import Item, PatternProblem, Terms, fail, name_text, token_text
from igdash.domain.filter_tokens import Token, tokens
from igdash.domain.filter_values import print_value, quoted
from igdash.domain.filters import (
    And,
    Compare,
    Exists,
    Filter,
    FilterError,
    In,
    Leaf,
    Network,
    Not,
    Op,
    Or,
    Range,
    Text,
    Virtual,
)
from igdash.domain.gadgets import Field

__all__ = ["MAX_DEPTH", "MAX_TEXT", "number_path", "parse", "to_text", "value_path"]

MAX_TEXT: Final = 4_096
"""Longest filter read, characters."""
MAX_DEPTH: Final = 32
"""Deepest parentheses read."""


def no_problem(_pattern: str) -> str:
    """Take any regular expression as it is."""
    return ""


def parse(
    text: str,
    schema: Sequence[Field] | None = None,
    pattern_problem: PatternProblem = no_problem,
) -> Filter:
    """Return the filter that `text` says, typed by the session's fields. Raises `FilterError`.

    `pattern_problem` judges regular expressions. An empty text is an error, too: it is no filter.
    """
    if len(text) > MAX_TEXT:
        raise FilterError(f"longer than {MAX_TEXT:,} characters", MAX_TEXT, len(text))
    return _Parser(list(tokens(text)), Terms(FieldIndex(schema), pattern_problem)).whole()


class _Parser:
    """Descends by precedence: or, and, not, condition."""

    def __init__(self, found: Sequence[Token], terms: Terms) -> None:
        self._tokens = found
        self._terms = terms
        self._at = 0

    def whole(self) -> Filter:
        node = self._or(0)
        left = self._peek()
        if left.kind == "end":
            return node
        if left.text == ")":
            raise fail("this parenthesis was never opened", left, "")
        if left.kind == "op" and left.text != "(":
            raise fail(f"{left.text!r} stands where 'and' or 'or' should", left)
        raise fail(
            "put 'and' or 'or' between conditions, or quotes around a text of several words",
            left,
            f"and {left.text}",
            f"or {left.text}",
        )

    # ------------------------------------------------------------ tokens

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _next(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def _accept(self, word: str) -> bool:
        token = self._peek()
        found = token.keyword == word or (token.kind == "op" and token.text == word)
        self._at += found
        return found

    # ------------------------------------------------------------ precedence

    def _or(self, depth: int) -> Filter:
        return self._list(Or, "or", lambda: self._and(depth))

    def _and(self, depth: int) -> Filter:
        return self._list(And, "and", lambda: self._not(depth))

    def _list(self, kind: type[And | Or], word: str, read: Callable[[], Filter]) -> Filter:
        start = self._peek().start
        parts: list[Filter] = []
        while True:
            node = read()
            if isinstance(node, kind):
                parts += node.parts
            else:
                parts.append(node)
            if not self._accept(word):
                break
        at = (start, self._tokens[self._at - 1].end)
        return kind(parts=tuple(parts), at=at) if len(parts) > 1 else parts[0]

    def _not(self, depth: int) -> Filter:
        start = self._peek().start
        negative = False
        while self._peek().keyword == "not" and not self._operator(1):
            self._at += 1
            negative = not negative
        node = self._group(depth) if self._peek().text == "(" else self._term()
        return _negated(node, (start, self._tokens[self._at - 1].end)) if negative else node

    def _group(self, depth: int) -> Filter:
        opening = self._next()
        if depth >= MAX_DEPTH:
            raise fail(f"parentheses are nested deeper than {MAX_DEPTH} levels", opening)
        node = self._or(depth + 1)
        if not self._accept(")"):
            wrong = self._peek()
            if wrong.kind == "end":
                raise fail("this parenthesis is never closed", opening)
            raise fail("'and', 'or' or ')' should stand here", wrong, f"and {wrong.text}")
        return node

    # ------------------------------------------------------------ conditions

    def _operator(self, ahead: int) -> str:
        """Return the operator that stands there: its text, `in`, `like`, `not in`, `not like`."""
        token = self._peek(ahead)
        if token.kind == "op":
            return "" if token.text in ("(", ")", ",", "..") else token.text
        if token.keyword in ("in", "like"):
            return token.keyword
        then = self._peek(ahead + 1).keyword if token.keyword == "not" else ""
        return f"not {then}" if then in ("in", "like") else ""

    def _term(self) -> Filter:
        token = self._next()
        if token.kind == "end":
            raise fail("a condition is missing here", token)
        if token.kind == "op":
            raise fail(f"a condition should stand here, not {token.text!r}", token)
        operator = self._operator(0)
        if operator:
            return self._condition(token, operator)
        if token.keyword == "exists":
            return self._exists(token)
        if token.keyword in ("lost", "malformed"):
            return Virtual(name=token.keyword, at=(token.start, token.end))
        if token.keyword:
            raise fail(
                f"a condition should stand here, not {token.text!r}", token, quoted(token.text)
            )
        if not token_text(token):
            raise fail("an empty text is contained in everything", token)
        return Text(word=token_text(token), at=(token.start, token.end))

    def _exists(self, token: Token) -> Filter:
        name = self._next()
        if name.kind not in ("word", "string"):
            raise fail("the name of a field is missing here", name)
        return self._terms.exists(name, (token.start, name.end))

    def _condition(self, name: Token, operator: str) -> Filter:
        self._at += operator.count(" ") + 1
        if operator.endswith("in"):
            items = self._items()
            at = (name.start, self._tokens[self._at - 1].end)
            node = self._terms.one_of(name, items, at)
        else:
            value = self._value()
            at = (name.start, value.end)
            node = self._terms.compare(name, operator.removeprefix("not "), value, at)
        return _negated(node, at) if operator.startswith("not ") else node

    def _value(self) -> Token:
        token = self._next()
        if token.kind in ("word", "string"):
            return token
        if token.kind == "end":
            raise fail("a value is missing here", token)
        raise fail(f"a value should stand here, not {token.text!r}", token)

    def _items(self) -> list[Item]:
        if not self._accept("("):
            return [self._item()]
        items = [self._item()]
        while self._accept(","):
            items.append(self._item())
        if not self._accept(")"):
            wrong = self._peek()
            raise fail("',' or ')' should stand here", wrong, f", {wrong.text}")
        return items

    def _item(self) -> Item:
        low = self._value()
        return (low, self._value() if self._accept("..") else None)


def _negated(node: Filter, at: tuple[int, int]) -> Filter:
    return node.part if isinstance(node, Not) else Not(part=node, at=at)


# ---------------------------------------------------------------- printing


def to_text(node: Filter) -> str:
    """Return the canonical text of a filter; reading it with the same fields gives an equal one."""
    if isinstance(node, And):
        return " and ".join(_grouped(part, (Or,)) for part in node.parts)
    if isinstance(node, Or):
        return " or ".join(to_text(part) for part in node.parts)
    if isinstance(node, Not):
        return _negative(node.part)
    return _leaf(node, "")


def _grouped(node: Filter, groups: tuple[type, ...]) -> str:
    return f"({to_text(node)})" if isinstance(node, groups) else to_text(node)


def _negative(node: Filter) -> str:
    if isinstance(node, And | Or | Not | Exists | Text | Virtual):
        return f"not {_grouped(node, (And, Or, Not))}"
    if isinstance(node, Compare) and node.op in (Op.EQ, Op.CONTAINS):
        sign = "!=" if node.op is Op.EQ else "!~"
        return f"{name_text(node.field)} {sign} {print_value(node.value)}"
    if isinstance(node, Compare) and node.op is not Op.LIKE:
        return f"not {_leaf(node, '')}"
    return _leaf(node, "not ")


def _leaf(node: Leaf, negation: str) -> str:
    if isinstance(node, Text):
        return quoted(node.word)
    if isinstance(node, Virtual):
        return node.name
    name = name_text(node.field)
    if isinstance(node, Exists):
        return f"exists {name}"
    if isinstance(node, Compare):
        return f"{name} {negation}{node.op.value} {print_value(node.value)}"
    if isinstance(node, Range):
        return f"{name} {negation}in {print_value(node.low)}..{print_value(node.high)}"
    if isinstance(node, In):
        return f"{name} {negation}in ({', '.join(map(print_value, node.values))})"
    return f"{name} {negation}in {_networks(node)}"


def _networks(node: Network) -> str:
    found = ", ".join(node.networks)
    return found if len(node.networks) == 1 else f"({found})"
