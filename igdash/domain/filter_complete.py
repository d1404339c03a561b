"""What may come next in a filter being typed: names, operators, values, and/or.

It never fails: a text that is no filter yet has completions, too. Values that only the history
knows are asked for by `field`: the caller adds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from igdash.domain.filter_fields import FieldIndex, Ref, Type, UnknownField
from igdash.domain.filter_terms import name_text, token_text
from igdash.domain.filter_text import MAX_TEXT
from igdash.domain.filter_tokens import Token, tokens
from igdash.domain.filter_values import quoted
from igdash.domain.filters import FilterError
from igdash.domain.gadgets import Field

MOST: Final = 50
_TEXT_OPERATORS: Final = ("=", "!=", "~", "!~", "in", "not in", "like", "=~")
_NUMBER_OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", "in", "not in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """`insert` replaces the text from `Completions.start` to `end`.

    `kind` is field, operator, value or keyword; `detail` says more about it.
    """

    insert: str
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completions:
    """What may stand at the cursor, best first.

    `path` is set where a value of that field belongs: values from the history that begin with
    `prefix` fit, too, each written with `value_text`.
    """

    start: int
    end: int
    items: tuple[Completion, ...]
    path: str = ""
    prefix: str = ""


def value_text(value: str | int | float | bool) -> str:
    """Return how a stored value is written in a filter."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return quoted(value) if isinstance(value, str) else repr(value).replace("e+", "e")


def complete(text: str, cursor: int, schema: Sequence[Field] | None = None) -> Completions:
    """Return what may stand at `cursor` (0 to the text's length)."""
    cursor = min(max(cursor, 0), len(text), MAX_TEXT)
    done, partial, end = _split(text, cursor)
    index = FieldIndex(schema)
    start = cursor - len(partial)
    name, place = _place(done)
    if place == "value" and name is not None:
        return _values(index, name, partial, start, end)
    prefix = partial.lower()
    if place == "operator" and name is not None and done[-1].keyword == "not":
        items = _keywords(("in", "like"))
    elif place == "operator" and name is not None:
        items = [*_operators(index, name), *_keywords(("and", "or"))]
    elif place == "after":
        items = _keywords(("and", "or"))
    else:
        items = [*_names(index), *_keywords(("not", "exists", "lost", "malformed"))]
    found = _ranked(items, prefix)
    if place == "operator" and not partial and name is not None and not _known(index, name):
        found = _keywords(("and", "or"))
    return Completions(start=start, end=end, items=tuple(found[:MOST]))


def _split(text: str, cursor: int) -> tuple[list[Token], str, int]:
    """Return the tokens before the word at the cursor, that word up to it, and where it ends."""
    done: list[Token] = []
    try:
        for token in tokens(text[:cursor]):
            if token.kind == "end":
                break
            done.append(token)
    except FilterError as error:
        partial = text[error.position : cursor]
        return done, partial, _string_end(text, cursor, partial[:1])
    if done and done[-1].end == cursor and done[-1].kind == "word":
        partial = done.pop().text
        return done, partial, _word_end(text, cursor)
    return done, "", cursor


def _string_end(text: str, cursor: int, quote: str) -> int:
    """Return where the text in quotes at the cursor ends: its own quote belongs to it."""
    end = _word_end(text, cursor)
    closed = quote in ("'", '"') and text[end : end + 1] == quote
    return end + 1 if closed else end


def _word_end(text: str, cursor: int) -> int:
    end = cursor
    while end < min(len(text), MAX_TEXT) and (text[end].isalnum() or text[end] in "_.-/:*"):
        end += 1
    return end


def _place(done: Sequence[Token]) -> tuple[Token | None, str]:
    """Return the field being spoken of, and what belongs next: name, operator, value or after."""
    name: Token | None = None
    place = "name"
    inside = False  # a list of values
    for token in done:
        name, place, inside = _step(token, name, place, inside)
    return name, place


def _step(
    token: Token, name: Token | None, place: str, inside: bool
) -> tuple[Token | None, str, bool]:
    if place == "value":
        return _in_value(token, name, inside)
    if place == "operator" and (_is_operator(token) or token.keyword == "not"):
        return name, "operator" if token.keyword == "not" else "value", False
    if inside:
        return (name, "value", True) if token.text in (",", "..") else (None, "after", False)
    if token.keyword in ("and", "or", "not") or token.text == "(":
        return None, "name", False
    if token.keyword == "exists":
        return None, "name", False
    if token.keyword or token.text == ")":
        return None, "after", False
    return (token, "operator", False) if place == "name" else (None, "after", False)


def _in_value(token: Token, name: Token | None, inside: bool) -> tuple[Token | None, str, bool]:
    if token.text == "(":
        return name, "value", True
    if token.text in (",", ".."):
        return name, "value", inside
    if inside and token.text != ")":
        return name, "item", True
    return None, "after", False


def _is_operator(token: Token) -> bool:
    return token.keyword in ("in", "like") or (
        token.kind == "op" and token.text not in ("(", ")", ",", "..")
    )


def _resolve(index: FieldIndex, name: Token) -> Ref | None:
    try:
        return index.resolve(token_text(name))
    except UnknownField:
        return None


def _known(index: FieldIndex, name: Token) -> bool:
    return _resolve(index, name) is not None


def _operators(index: FieldIndex, name: Token) -> list[Completion]:
    ref = _resolve(index, name)
    if ref is None or ref.type is Type.GROUP:
        return []
    if ref.type is Type.BOOL:
        found: Iterable[str] = ("=", "!=")
    elif ref.type is Type.NUMBER or ref.type is Type.TIME:
        found = _NUMBER_OPERATORS
    else:
        found = _TEXT_OPERATORS if not ref.raw and ref.type is Type.TEXT else _both()
    return [Completion(insert=f"{one} ", kind="operator", detail=_MEANING[one]) for one in found]


def _both() -> tuple[str, ...]:
    return tuple(dict.fromkeys((*_TEXT_OPERATORS, *_NUMBER_OPERATORS)))


_MEANING: Final = {
    "=": "equal",
    "!=": "not equal",
    "<": "less",
    "<=": "at most",
    ">": "more",
    ">=": "at least",
    "~": "contains",
    "!~": "does not contain",
    "in": "one of, a range, a network",
    "not in": "none of",
    "like": "with * and ?",
    "=~": "regular expression",
}


def _names(index: FieldIndex) -> list[Completion]:
    found = []
    for name in index.names():
        ref = index.resolve(name)
        if ref.type is not Type.GROUP:
            kind = "" if ref.type is Type.ANY else ref.type.value
            detail = " · ".join(part for part in (kind, ref.description) if part)
            found.append(Completion(insert=f"{name_text(name)} ", kind="field", detail=detail))
    return found


def _keywords(words: Iterable[str]) -> list[Completion]:
    return [Completion(insert=f"{word} ", kind="keyword") for word in words]


def _values(index: FieldIndex, name: Token, partial: str, start: int, end: int) -> Completions:
    ref = _resolve(index, name)
    if ref is None or ref.type is Type.GROUP:
        return Completions(start=start, end=end, items=())
    bare = partial.lstrip("\"'")
    texts = ("true", "false") if ref.type is Type.BOOL else tuple(map(quoted, ref.one_of))
    items = [Completion(insert=f"{text} ", kind="value") for text in texts]
    if partial[:1] in ("'", '"'):
        items = [item for item in items if item.insert[:1] == '"']
    found = _ranked(items, bare.lower())
    wants = ref.type is not Type.TIME and ref.path != "@seq"
    return Completions(
        start=start,
        end=end,
        items=tuple(found[:MOST]),
        path=ref.path if wants else "",
        prefix=bare,
    )


def _ranked(items: Iterable[Completion], prefix: str) -> list[Completion]:
    """Return those that hold the prefix: at their beginning, at a part's beginning, anywhere."""
    ranked = []
    for item in items:
        text = item.insert.strip().strip('"').lower()
        if not prefix or text.startswith(prefix):
            ranked.append((0, item))
        elif f".{prefix}" in text:
            ranked.append((1, item))
        elif prefix in text and len(prefix) > 1:
            ranked.append((2, item))
    ranked.sort(key=lambda pair: pair[0])
    return [item for _, item in ranked]
