from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from igdash.domain.errors import SessionNotFound, StoreBusy, StoreError, StoreRefused
from igdash.store.errors import translated


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("it said\nmore")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sqlite_error(sqlite3.SQLITE_BUSY), StoreBusy),
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), StoreBusy),
        (sqlite_error(sqlite3.SQLITE_FULL), StoreBusy),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), StoreBusy),
        (sqlite_error(sqlite3.SQLITE_CORRUPT), StoreRefused),
        (sqlite_error(sqlite3.SQLITE_NOTADB), StoreRefused),
        (sqlite_error(sqlite3.SQLITE_ERROR), StoreError),
        (sqlite3.ProgrammingError("x"), StoreError),
        (psycopg.OperationalError("server closed the connection"), StoreBusy),
        (psycopg.errors.AdminShutdown("x"), StoreBusy),
        (psycopg.errors.DiskFull("x"), StoreBusy),
        (psycopg.errors.TooManyConnections("x"), StoreBusy),
        (psycopg.errors.LockNotAvailable("x"), StoreBusy),
        (psycopg.errors.DeadlockDetected("x"), StoreBusy),
        (psycopg.errors.ReadOnlySqlTransaction("x"), StoreBusy),
        (psycopg.errors.InvalidPassword("x"), StoreRefused),
        (psycopg.errors.InvalidCatalogName("x"), StoreRefused),
        (psycopg.errors.InsufficientPrivilege("x"), StoreRefused),
        (psycopg.errors.UniqueViolation("x"), StoreError),
        (PoolTimeout(), StoreBusy),
        (InvalidRequestError("x"), StoreError),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), StoreError),
        (OverflowError("x"), StoreError),
    ],
)
def test_each_foreign_error_has_its_kind_and_its_cause(
    error: Exception, kind: type[StoreError]
) -> None:
    wrapped = DBAPIError("SELECT secret", {"p": "secret"}, error)
    for one in (error, wrapped) if isinstance(error, sqlite3.Error | psycopg.Error) else (error,):
        with pytest.raises(StoreError) as caught, translated("cannot do it"):
            raise one
        assert type(caught.value) is kind
        assert caught.value.__cause__ is one
        assert str(caught.value).startswith("cannot do it: ")
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_lost_connection_is_busy_whatever_the_error_says() -> None:
    error = DBAPIError("x", {}, psycopg.ProgrammingError("odd"), connection_invalidated=True)
    with pytest.raises(StoreBusy), translated("x"):
        raise error


def test_our_own_errors_pass() -> None:
    with pytest.raises(SessionNotFound), translated("x"):
        raise SessionNotFound("y")
