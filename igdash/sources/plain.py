"""The fast way through a chunk of ordinary lines, which is nearly every chunk.

Texts of `k8s` and `runtime` that were read before are recognised by how they begin, compared and
cut out before any JSON is read: comparing is cheaper than reading, and they are half of a line. One
call then reads what is left of all lines. That the tokens stand for the object's own members is
seen there, and a text that was valid JSON is so wherever it stands. Whatever is not ordinary leaves
the chunk to the careful way in `decode`.

Searching a line from its start, or counting its brackets, costs as much as reading its JSON. So the
search begins where the texts stood before, and brackets are counted only in lines that have room
for many.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from igdash.domain.events import TOKEN_K8S, TOKEN_RUNTIME, NewEvent, Origin
from igdash.domain.times import MAX_NS

_RUNTIME: Final = '"runtime":{'
_NOTHING: Final = msgspec.Raw(b"")
_NOWHERE: Final = "\0"
"""No JSON has it."""
_BEGINNING: Final = 24
"""How much of a text is searched before all of it is compared: preparing a long search costs more
than the search."""
_WIDTH: Final = 96
"""Beginning of `runtime` that tells one from another: Inspektor Gadget prints the container's id
first. Should it not, texts are compared in vain and learnt again; never mistaken."""


class Known:
    """A pair of `k8s` and `runtime` texts as they stand in a line with their keys ("" = not cut),
    the origin they make, and what the members are once the texts are cut.

    `depth` is how deep the rest of a line may nest; `shallow` the length up to which it cannot:
    without arrays each level takes five characters.
    """

    __slots__ = (
        "beginning",
        "depth",
        "k8s",
        "k8s_member",
        "origin",
        "runtime",
        "runtime_member",
        "shallow",
    )

    def __init__(
        self, texts: tuple[str, str], members: tuple[bytes, bytes], origin: Origin, max_depth: int
    ) -> None:
        self.k8s, self.runtime = texts
        self.k8s_member, self.runtime_member = map(msgspec.Raw, members)
        self.origin = origin
        self.beginning = self.k8s[:_BEGINNING] if all(texts) else _NOWHERE
        self.depth = max_depth - _openers(self.k8s) - _openers(self.runtime)
        self.shallow = 5 * self.depth - 3


class Memory:
    """The pairs seen at one place, by the beginning of `runtime`. `learn` reads a line for its
    pair; None when it is no plain line."""

    __slots__ = ("known", "learn", "width")

    def __init__(self, learn: Callable[[str], Known | None]) -> None:
        self.learn = learn
        self.known: dict[str, Known] = {}
        self.width = _WIDTH

    def read(self, line: str) -> tuple[Known, str, int, int] | None:
        """Return a line's pair, learnt if it is new, the line without it, and where it stood."""
        at = line.find(_RUNTIME)
        one = self.known.get(self._key(line, at))
        cut = _cut(line, one) if one else None
        if one is None or cut is None:
            one = self._learn(line, at)
            cut = _cut(line, one) if one else None
        if one is None or cut is None:
            return None
        return one, cut, max(line.find(one.beginning), 0), max(at, 0)

    def _learn(self, line: str, at: int) -> Known | None:
        one = self.learn(line)
        if one is None:
            return None
        if 0 < len(one.runtime) < self.width:
            # Shorter than the keys so far, which would reach into what changes with each event.
            self.width = len(one.runtime)
            self.known.clear()
        self.known[self._key(line, at)] = one
        return one

    def _key(self, line: str, at: int) -> str:
        return line[at : at + self.width] if at >= 0 else ""


class _Head(msgspec.Struct, gc=False):
    k8s: msgspec.Raw = _NOTHING
    runtime: msgspec.Raw = _NOTHING
    timestamp_raw: Any = 0


_heads: Final = msgspec.json.Decoder(_Head)
_event: Final = partial(tuple.__new__, NewEvent)
"""`NewEvent._make` without a Python function in it."""


def plain_events(data: bytes, received: int, memory: Memory) -> list[NewEvent] | None:
    """Return the events of a chunk of whole lines; None when it is no plain one."""
    if b"@" in data and (b'"@k8s"' in data or b'"@runtime"' in data):
        return None
    try:
        text = data.decode()
        found = _cut_all(text, memory)
        if found is None:
            return None
        rest = "\n".join(found[1])
        heads = _heads.decode_lines(rest)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if len(heads) != len(found[0]):
        return None
    ones, cuts, sizes = found
    brackets = "[" in rest
    for one, cut, head in zip(ones, cuts, heads, strict=True):
        if head.k8s != one.k8s_member or head.runtime != one.runtime_member:
            memory.known.clear()  # what was learnt may suit one line and not the next
            return None
        if (len(cut) > one.shallow or (brackets and "[" in cut)) and _openers(cut) > one.depth:
            return None
    times = _times([head.timestamp_raw for head in heads], received)
    return list(map(_event, zip(times, [one.origin for one in ones], cuts, sizes, strict=True)))


def _times(told: list[Any], received: int) -> list[int]:
    """Return times in ns: `received` for what is none. Integers only: a float has lost digits."""
    if set(map(type, told)) == {int} and min(told) > 0 and max(told) <= MAX_NS:
        return told
    return [ts if type(ts) is int and 0 < ts <= MAX_NS else received for ts in told]


def _cut_all(text: str, memory: Memory) -> tuple[list[Known], list[str], list[int]] | None:
    """Return each line's pair, the line without it and its size in bytes; None = not plain.

    Each line begins and ends as an object does. As no value can go on from a `}` at a line's end to
    a `{` at the next one's start, as many values as lines will mean: one value a line.
    """
    ones: list[Known] = []
    cuts: list[str] = []
    sizes: list[int] = []
    find, begins, known, width = text.find, text.startswith, memory.known.get, memory.width
    start = first = second = 0
    wide = not text.isascii()
    while start < len(text):
        end = find("\n", start)
        if end < 0 or text[start] != "{" or text[end - 1] != "}":
            return None
        then = find(_RUNTIME, start + second, end)
        one = known(text[then : then + width])
        at = find(one.beginning, start + first, then) if one else -1
        if one and at >= 0 and begins(one.k8s, at) and begins(one.runtime, then):
            after, rest = at + len(one.k8s), text[then + len(one.runtime) : end]
            cut = f"{text[start:at]}{TOKEN_K8S}{text[after:then]}{TOKEN_RUNTIME}{rest}"
            if not first:
                first, second = at - start, then - start
        else:
            read = memory.read(text[start:end])
            if read is None:
                return None
            one, cut, at, then = read
            first, second = min(first, at), min(second, then)
        ones.append(one)
        cuts.append(cut)
        sizes.append(len(text[start:end].encode()) if wide else end - start)
        start = end + 1
    return ones, cuts, sizes


def _cut(line: str, one: Known) -> str | None:
    """Return the line with both texts replaced by their tokens; None = they are not there so."""
    k8s, runtime = one.k8s, one.runtime
    at = line.find(k8s)
    if k8s and runtime:
        after = at + len(k8s)
        then = line.find(runtime, after)
        if at >= 0 and then >= 0:
            rest = line[then + len(runtime) :]
            return f"{line[:at]}{TOKEN_K8S}{line[after:then]}{TOKEN_RUNTIME}{rest}"
        return None
    if not k8s and not runtime:
        return line
    only, token = (k8s, TOKEN_K8S) if k8s else (runtime, TOKEN_RUNTIME)
    at = line.find(only)
    return f"{line[:at]}{token}{line[at + len(only) :]}" if at >= 0 else None


def _openers(text: str) -> int:
    return text.count("{") + ("[" in text and text.count("["))
