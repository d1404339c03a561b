"""The server tells an address of the dashboard from a mistyped one."""

from __future__ import annotations

import pytest

from igdash.ui.routes import is_view


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/gadgets",
        "/gadgets/",
        "/environments",
        "/sql",
        "/exports",
        "/start/trace_tcp",
        "/start/ghcr.io/x/y:1",
        "/sessions",
        "/sessions/4f2a91c0aaaa",
    ],
)
def test_views(path: str) -> None:
    assert is_view(path)


@pytest.mark.parametrize(
    "path", ["/gadget", "/start", "/start/", "/sessions/a/b", "/api", "/index.html", "//", "/gadgets/x",
     "/environments/x", "/start//x"]
)  # fmt: skip
def test_no_views(path: str) -> None:
    assert not is_view(path)
