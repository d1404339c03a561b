"""Fixtures that every test may use."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from tests.support.stores import (  # noqa: F401
    postgres_server,
    postgres_store,
    sqlite_store,
    sqlite_template,
    store,
)

# How long an example takes says more about the neighbours on the machine than about the code.
settings.register_profile(
    "igdash",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # The gate asks what a change broke: the same examples for the same tests. `make nightly` asks
    # what nobody thought of.
    derandomize="IGDASH_TEST_RANDOM" not in os.environ,
)
settings.load_profile("igdash")
