from __future__ import annotations

import pytest

from igdash.domain.errors import StoreRefused
from igdash.store.engine import is_sqlite, parse_url, shown, sqlite_path


def test_what_is_shown_of_a_url_has_no_password() -> None:
    assert shown("postgresql+psycopg://me:hunter2@db/x?sslmode=require") == (
        "postgresql+psycopg://me:***@db/x"
    )
    assert shown("sqlite:////var/x.db") == "/var/x.db"


def test_drivers_may_be_left_out() -> None:
    assert parse_url("postgresql://db/x").drivername == "postgresql+psycopg"
    assert is_sqlite("sqlite+pysqlite:////x.db")
    assert sqlite_path("sqlite:///x.db").is_absolute()


@pytest.mark.parametrize(
    "url", ["", "x", "mysql://h/d", "postgresql+asyncpg://h/d", "sqlite://", "sqlite:///:memory:"]
)
def test_other_urls_are_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(StoreRefused, match=r"store\.url .*sqlite"):
        parse_url(url)
