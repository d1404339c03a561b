"""The words of a filter: a text cut into tokens, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from igdash.domain.filters import FilterError

KEYWORDS: Final = frozenset({"and", "or", "not", "in", "like", "exists", "lost", "malformed"})
PLAIN_WORD: Final = re.compile(r"(?:[\w\-/:*]|\.(?!\.))+")
_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<op>=~|==|!=|!~|<=|>=|=|<|>|~|\.\.|[(),])
  | (?P<word>(?:[\w\-/:*]|\.(?!\.))+)
  | (?P<end>$)
    )""",
    re.VERBOSE | re.DOTALL,
)
_INSTEAD: Final = {"&": "and", "|": "or", "!": "not"}


class Token(NamedTuple):
    """One word: `kind` is string, op, word or end; `text` as written, quotes included."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The keyword that this is, in small letters, or ""."""
        word = self.text.lower() if self.kind == "word" and len(self.text) < 12 else ""
        return word if word in KEYWORDS else ""


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text, an `end` last. Raises `FilterError`."""
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            raise _strange(text, at)
        kind = match.lastgroup or "end"
        yield Token(kind, match[kind], match.start(kind), match.end(kind))
        if kind == "end":
            return
        at = match.end()


def _strange(text: str, at: int) -> FilterError:
    while text[at].isspace():
        at += 1
    char = text[at]
    if char in "\"'":
        return FilterError("this text has no closing quote", at, len(text), (text[at:] + char,))
    if char in _INSTEAD:
        end = at + 1 + text.startswith(char, at + 1)
        word = _INSTEAD[char]
        return FilterError(
            f"{text[at:end]!r} is not an operator here; use {word!r}", at, end, (word,)
        )
    end = at
    while end < len(text) and not text[end].isspace() and text[end] not in "\"'()=<>~,":
        end += 1
    end = max(end, at + 1)
    return FilterError(
        f"{char!r} has no meaning here; put texts with it in quotes",
        at,
        end,
        (f'"{text[at:end]}"',),
    )
