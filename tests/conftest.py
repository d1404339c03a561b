"""Fixtures that every test may use."""

from __future__ import annotations

from tests.support.stores import (  # noqa: F401
    postgres_server,
    postgres_store,
    sqlite_store,
    sqlite_template,
    store,
)
