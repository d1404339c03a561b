"""Fixtures that every test may use."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.support.stores import (  # noqa: F401
    postgres_server,
    postgres_store,
    sqlite_store,
    sqlite_template,
    store,
)

# How long an example takes says more about the neighbours on the machine than about the code.
settings.register_profile("igdash", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("igdash")
