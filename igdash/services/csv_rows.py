"""Events as CSV: RFC 4180, one column per field, and no cell a spreadsheet would run.

Numbers keep their texts (a 64-bit inode stays exact). A *text* that a spreadsheet could take for a
formula gets an apostrophe in front (CWE-1236): names of pods, processes and DNS questions are
chosen by whoever runs a workload. docs/exports.md says the same to users.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from igdash.domain.events import Event
from igdash.domain.gadgets import DataSource
from igdash.domain.text import free_name
from igdash.services.render import time_text

FIXED = ("seq", "ts", "node", "source")
REST = "other"
"""Last column: members of the event that are no known field, as one JSON object."""

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


class Number(str):
    """The text of a JSON number, kept apart from texts: it needs no neutralising."""

    __slots__ = ()


def neutral(text: str) -> str:
    """Return `text`, with an apostrophe in front when a spreadsheet could run it."""
    return "'" + text if text.startswith(_DANGEROUS) else text


def parse(data: str) -> Any:
    """Return the event with every number as its own text."""
    return json.loads(data, parse_int=Number, parse_float=Number, parse_constant=Number)


def compact(value: Any) -> str:
    """Return JSON text of a parsed value, numbers as they came."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        inside = ",".join(f"{json.dumps(key)}:{compact(each)}" for key, each in value.items())
        return "{" + inside + "}"
    if isinstance(value, list):
        return "[" + ",".join(compact(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def cell(value: Any) -> str:
    """Return what stands in the cell of a parsed value."""
    if value is None:
        return ""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return neutral(value)
    return compact(value)


class Table:
    """Turns events into rows; columns are the fields of the session's data sources, in order."""

    def __init__(self, sources: Sequence[DataSource]) -> None:
        names = [f.name for source in sources for f in source.fields if f.in_json and f.kind]
        # A field with fields below it (`proc`, kind Bytes) is an object in the JSON: no column.
        self._groups = {name[:i] for name in names for i, c in enumerate(name) if c == "."}
        self.columns = tuple(dict.fromkeys(n for n in names if n not in self._groups))
        taken = {*FIXED, REST, *self.columns}
        self._titles = [_title(name, taken) for name in self.columns]
        self._index = {name: i for i, name in enumerate(self.columns)}

    def header(self) -> bytes:
        """Return the first line."""
        return _encode([[*FIXED, *map(neutral, self._titles), REST]])

    def rows(self, events: Iterable[Event]) -> bytes:
        """Return one line per event."""
        return _encode([self._row(event) for event in events])

    def _row(self, event: Event) -> list[str]:
        cells = [""] * len(self.columns)
        rest: dict[str, Any] = {}
        parsed = parse(event.data)
        if isinstance(parsed, dict):
            self._walk(parsed, "", cells, rest)
        head = [str(event.seq), time_text(event.ts), neutral(event.node), neutral(event.source)]
        return [*head, *cells, compact(rest) if rest else ""]

    def _walk(
        self, members: dict[str, Any], prefix: str, cells: list[str], rest: dict[str, Any]
    ) -> None:
        for key, value in members.items():
            name = prefix + key
            index = self._index.get(name)
            if index is not None:
                cells[index] = cell(value)
            elif isinstance(value, dict) and name in self._groups:
                self._walk(value, name + ".", cells, rest)
            else:
                rest[name] = value


def _title(name: str, taken: set[str]) -> str:
    """Return a field's name; readers keep one of two columns called the same."""
    return free_name(name, taken) if name in (*FIXED, REST) else name


def _encode(rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode("utf-8", "replace")
