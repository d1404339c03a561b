"""Answers as tables for people or JSON for programs.

A table shows every value through `visible`; JSON and names are printed as they are, since JSON
escapes by itself and ids are ours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from igdash.domain.text import visible
from igdash.domain.times import NS, now_ns

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[T]):
    """A column of a table: `text` makes a cell; `wide` ones show with `-o wide` only."""

    title: str
    text: Callable[[T], object]
    right: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """How one kind of thing is printed. `key` is the name of the list in JSON, `name` the id."""

    key: str
    columns: Sequence[Column[T]]
    name: Callable[[T], str]
    shape: Callable[[T], Any]


def show(rows: Sequence[T], listing: Listing[T], how: str, **extra: Any) -> None:
    """Print the rows in the format `how`; `extra` members join the list in `-o json`."""
    if how == "json":
        print_json({listing.key: [listing.shape(row) for row in rows], **extra}, indent=2)
    elif how == "jsonl":
        for row in rows:
            print_json(listing.shape(row))
    elif how == "name":
        for row in rows:
            print(visible(listing.name(row)))
    else:
        columns = [column for column in listing.columns if how == "wide" or not column.wide]
        print_table(columns, rows)


def show_one(row: T, listing: Listing[T], how: str) -> None:
    """Print one thing: as JSON its own object, not a list of one."""
    if how == "json":
        print_json(listing.shape(row), indent=2)
    else:
        show([row], listing, how)


def print_json(value: Any, indent: int | None = None) -> None:
    """Print a value (msgspec structs too) as JSON; number texts of raw parts stay as they are."""
    text = msgspec.json.encode(value)
    if indent is not None:
        text = msgspec.json.format(text, indent=indent)
    print(text.decode())


def print_table(columns: Sequence[Column[T]], rows: Iterable[T]) -> None:
    """Print the header and a line per row, columns as wide as their widest cell."""
    cells = [[column.title for column in columns]]
    cells += [[_cell(column.text(row)) for column in columns] for row in rows]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        parts = [
            pad(text, size, right=column.right)
            for text, size, column in zip(line, widths, columns, strict=True)
        ]
        print("  ".join(parts).rstrip())


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line."""
    cells = [(name, _cell(value)) for name, value in pairs]
    size = max((len(name) for name, _ in cells), default=0)
    for name, text in cells:
        print(f"{name:{size}}  {text}".rstrip())


def width(text: str) -> int:
    """Return how many terminal cells `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def pad(text: str, size: int, *, right: bool = False) -> str:
    """Return `text` filled with spaces to `size` terminal cells."""
    fill = " " * (size - width(text))
    return fill + text if right else text + fill


def cut(text: str, size: int) -> str:
    """Return `text`, or its beginning and an ellipsis when it takes more than `size` cells."""
    if width(text) <= size:
        return text
    kept, used = [], 0
    for char in text:
        used += _cells(char)
        if used > size - 1:
            break
        kept.append(char)
    return "".join(kept) + "…"


def age(since: int | None) -> str:
    """Return how long ago a moment (ns) was, in words a table has room for: 12s 5m 3h 2d."""
    if since is None:
        return "-"
    seconds = max(0, now_ns() - since) // NS
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def count(number: int) -> str:
    """Return the exact number with thousands separators."""
    return f"{number:,}"


def size(number: int) -> str:
    """Return bytes in the unit that leaves few digits."""
    amount = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _cell(value: object) -> str:
    text = visible(str(value))
    return text or "-"


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
