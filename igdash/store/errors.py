"""The border where driver errors end: everything leaves the store as one of igdash's own errors.

What decides is the driver's code, not its words. The parameters of a statement never get into a
message (they are users' data), nor does the URL (it may hold a password).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from igdash.domain.errors import StoreBusy, StoreError, StoreRefused

_SQLITE_BUSY: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_SQLITE_REFUSED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PG_BUSY: Final = ("08", "40", "53", "55P03", "57", "58", "25006")
_PG_REFUSED: Final = ("28", "3D000", "3F000", "42501")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn driver errors inside the block into `StoreBusy`, `StoreRefused` or `StoreError`.

    `what` begins the message: "cannot write to the database", for example.
    """
    try:
        yield
    except DBAPIError as error:
        raise _translate(what, error.orig, error.connection_invalidated) from error
    except (sqlite3.Error, psycopg.Error) as error:
        raise _translate(what, error, False) from error
    except PoolTimeout as error:
        raise StoreBusy(f"{what}: too many readers at once") from error
    except SQLAlchemyError as error:
        raise StoreError(f"{what}: {type(error).__name__}") from error


def _translate(what: str, error: BaseException | None, lost: bool) -> StoreError:
    kind: type[StoreError] = StoreError
    if isinstance(error, sqlite3.Error):
        kind = _sqlite_kind(error)
    elif isinstance(error, psycopg.Error):
        kind = _postgres_kind(error)
    if lost and kind is StoreError:
        kind = StoreBusy
    return kind(f"{what}: {first_line(error)}")


def _sqlite_kind(error: sqlite3.Error) -> type[StoreError]:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _SQLITE_BUSY:
        return StoreBusy
    return StoreRefused if code in _SQLITE_REFUSED else StoreError


def _postgres_kind(error: psycopg.Error) -> type[StoreError]:
    state = error.sqlstate
    if state is None:  # no answer from a server: not connected (any more)
        refused = "password" in str(error) or "does not exist" in str(error)
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        if lost and not refused:
            return StoreBusy
        return StoreRefused if refused else StoreError
    if state.startswith(_PG_BUSY):
        return StoreBusy
    return StoreRefused if state.startswith(_PG_REFUSED) else StoreError


def first_line(error: BaseException | None) -> str:
    """Return the first line of the error's text: psycopg adds positions and hints below it."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
