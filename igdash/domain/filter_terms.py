"""One condition of a filter: a field, an operator, and values of the kind the field holds."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Final

from igdash.domain.filter_fields import FieldIndex, Ref, Type, UnknownField
from igdash.domain.filter_tokens import KEYWORDS, PLAIN_WORD, Token
from igdash.domain.filter_values import (
    bool_value,
    moment,
    number,
    plain_number,
    quoted,
    text_value,
    unquoted,
)
from igdash.domain.filters import (
    AmbiguousField,
    Compare,
    Exists,
    Filter,
    FilterError,
    In,
    Network,
    Not,
    Op,
    Or,
    Range,
    Span,
    Value,
    ValueKind,
)

PatternProblem = Callable[[str], str]
"""Why a regular expression is not taken, or ""."""
Item = tuple[Token, Token | None]
"""What stands in a list: a value, or the two ends of a range."""

_ORDER: Final = (Op.LT, Op.LE, Op.GT, Op.GE)
_NEAR: Final = 5


def fail(
    message: str, token: Token, *suggestions: str, kind: type[FilterError] = FilterError
) -> FilterError:
    """Return an error about a token."""
    return kind(message, token.start, token.end, tuple(suggestions))


def name_text(name: str) -> str:
    """Return a field's name as it is written in a filter."""
    plain = PLAIN_WORD.fullmatch(name) and name.lower() not in KEYWORDS
    return name if plain else quoted(name)


def token_text(token: Token) -> str:
    """Return what a token says, without its quotes."""
    return unquoted(token.text) if token.kind == "string" else token.text


class Terms:
    """Builds conditions against the fields of one session."""

    def __init__(self, index: FieldIndex, pattern_problem: PatternProblem) -> None:
        self._index = index
        self._pattern_problem = pattern_problem

    def exists(self, name: Token, at: Span) -> Filter:
        """Return `exists name`; groups of fields are allowed here."""
        ref = self._ref(name)
        return Exists(field=ref.name, path=ref.path, at=at)

    def compare(self, name: Token, op: str, value: Token, at: Span) -> Filter:
        """Return `name op value`. Raises `FilterError`."""
        ref = self._field(name)
        if op in ("!=", "!~"):
            positive = "=" if op == "!=" else "~"
            return Not(part=self.compare(name, positive, value, at), at=at)
        kind = Op("=" if op == "==" else op)
        if kind in _ORDER:
            path, found = self._order(ref, name, value)
        elif kind is Op.EQ:
            path, (found,) = self._equal(ref, [value])
        else:
            path, found = ref.path, self._pattern(ref, kind, name, value)
        return Compare(field=ref.name, path=path, op=kind, value=found, at=at)

    def one_of(self, name: Token, items: Sequence[Item], at: Span) -> Filter:
        """Return `name in (…)`: values, networks and ranges. Raises `FilterError`."""
        ref = self._field(name)
        values: list[Token] = []
        networks: list[str] = []
        ranges: list[Filter] = []
        for low, high in items:
            if high is not None:
                ranges.append(self._range(ref, name, low, high, at))
            elif network := _network(ref, low):
                networks.append(network)
            else:
                values.append(low)
        parts: list[Filter] = []
        if values:
            path, found = self._equal(ref, values)
            parts.append(In(field=ref.name, path=path, values=tuple(found), at=at))
        if networks:
            parts.append(Network(field=ref.name, path=ref.path, networks=tuple(networks), at=at))
        parts += ranges
        return parts[0] if len(parts) == 1 else Or(parts=tuple(parts), at=at)

    def _range(self, ref: Ref, name: Token, low: Token, high: Token, at: Span) -> Range:
        path, first = self._order(ref, name, low)
        _, last = self._order(ref, name, high)
        if first.value > last.value:  # type: ignore[operator]  # both are numbers
            raise FilterError(
                "the range ends before it begins",
                low.start,
                high.end,
                (f"{high.text}..{low.text}",),
            )
        return Range(field=ref.name, path=path, low=first, high=last, at=at)

    def _ref(self, name: Token) -> Ref:
        if not token_text(name):
            raise fail("the name of a field is empty", name)
        try:
            return self._index.resolve(token_text(name))
        except UnknownField as error:
            kind = AmbiguousField if error.several else FilterError
            raise fail(error.message, name, *map(name_text, error.near), kind=kind) from None

    def _field(self, name: Token) -> Ref:
        ref = self._ref(name)
        if ref.type is Type.GROUP:
            members = self._index.members(ref.path)
            raise fail(
                f"{ref.name} is a group of fields; name one of them",
                name,
                *map(name_text, members[:_NEAR]),
                kind=AmbiguousField,
            )
        return ref

    def _order(self, ref: Ref, name: Token, token: Token) -> tuple[str, Value]:
        path = ref.path if ref.type in (Type.NUMBER, Type.TIME, Type.ANY) else ref.raw
        if not path:
            raise fail(
                f"{ref.name} is {ref.type.value}: only numbers and times have an order", name
            )
        return path, _numeric(ref, token)

    def _equal(self, ref: Ref, given: Sequence[Token]) -> tuple[str, list[Value]]:
        if ref.measure and ref.raw and all(token.kind == "word" for token in given):
            numbers = [number(token.text) for token in given]
            if None not in numbers:
                return ref.raw, [value for value in numbers if value is not None]
        return ref.path, [_equal_value(ref, token) for token in given]

    def _pattern(self, ref: Ref, op: Op, name: Token, token: Token) -> Value:
        if ref.type not in (Type.TEXT, Type.ANY):
            raise fail(
                f"{ref.name} is {ref.type.value}, not a text: {op.value} does not apply", name
            )
        text = token_text(token)
        if op is Op.REGEX and (problem := self._pattern_problem(text)):
            raise fail(f"not a regular expression: {problem}", token)
        return text_value(text)


def _equal_value(ref: Ref, token: Token) -> Value:
    text = token_text(token)
    if ref.type is Type.TEXT or (ref.type is Type.ANY and token.kind == "string"):
        return text_value(text)
    if ref.type is Type.ANY:
        found = bool_value(text) or number(text)
        return found if found is not None and found.kind is not ValueKind.TIME else text_value(text)
    if ref.type is Type.BOOL:
        found = bool_value(text)
        if found is None:
            raise fail(f"{ref.name} is true or false, not {text[:100]!r}", token, "true", "false")
        return found
    return _numeric(ref, token)


def _numeric(ref: Ref, token: Token) -> Value:
    text = token_text(token)
    found = (moment(text) or plain_number(text)) if ref.type is Type.TIME else number(text)
    if found is None:
        raise fail(_no_number(ref, text), token)
    return found


def _no_number(ref: Ref, text: str) -> str:
    if ref.type is Type.TIME:
        return f"{text[:100]!r} is no time such as 2026-11-22T23:13:24Z"
    return f"{ref.name} is a number, and {text[:100]!r} is none (nor a size, duration or time)"


def _network(ref: Ref, token: Token) -> str:
    text = token.text
    if token.kind != "word" or "/" not in text or ref.type not in (Type.TEXT, Type.ANY):
        return ""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return ""
