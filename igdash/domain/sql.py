"""Questions in SQL to the stored events, and the shapes of their answers."""

from __future__ import annotations

from dataclasses import dataclass

from igdash.domain.sessions import SessionId

SQL_SECONDS = 10.0
"""How long a statement may take."""
SQL_ROWS = 100_000
"""Most rows of an answer."""
SQL_BYTES = 33_554_432
"""Most bytes of an answer; what follows is left out, like rows beyond the limit."""
SQL_MEMORY = 134_217_728
"""Bytes of memory that a statement may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlQuery:
    """A statement. `sessions` limits what gadgets' views and the others show; empty = all."""

    sql: str
    limit: int = SQL_ROWS
    explain: bool = False
    sessions: tuple[SessionId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlColumn:
    """A column of a view or of an answer.

    `type` is integer, number, text, boolean, json or blob (then in hexadecimal digits).
    """

    name: str
    type: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlView:
    """What can be read; `gadget` is the gadget whose events it has, "" for the general ones."""

    name: str
    description: str
    columns: tuple[SqlColumn, ...]
    gadget: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlAnswer:
    """An answer. `blocks` are rows as JSON arrays, joined by commas: exact, and made only once.

    `truncated` says that there were more rows than the limit, or more bytes.
    """

    columns: tuple[SqlColumn, ...]
    blocks: tuple[bytes, ...]
    rows: int
    truncated: bool
    engine: str
    elapsed_ms: float
