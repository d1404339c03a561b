"""Host and Origin, one value at a time (the whole table over HTTP: tests/contracts)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igdash.api.options import WebOptions
from igdash.api.security import host_allowed, origin_matches, split_host


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("localhost", ("localhost", None)),
        ("LocalHost:80", ("localhost", 80)),
        ("[::1]:8050", ("::1", 8050)),
        ("a.b.", ("a.b", None)),
        ("", None),
        ("a:b", None),
        ("a:", None),
        ("a:99999", None),
        ("a/b", None),
        ("u@a", None),
        ("a b", None),
        ("[::1", None),
        ("a,b", None),
    ],
)
def test_splitting_a_host(text: str, wanted: object) -> None:
    assert split_host(text) == wanted


@pytest.mark.parametrize(
    ("bind", "host", "allowed"),
    [
        ("127.0.0.1", "10.1.2.3", False),
        ("10.1.2.3", "10.1.2.3:80", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("0.0.0.0", "10.1.2.3", True),
        ("::", "[fe80::1]", True),
        ("[::]", "[fe80::1]", True),
        ("0.0.0.0", "rebound.example", False),
        ("::1", "[::1]", True),
        ("dash.example", "dash.example", True),
    ],
)
def test_which_hosts_a_bind_address_answers_to(bind: str, host: str, allowed: bool) -> None:
    assert host_allowed(host, WebOptions(host=bind)) is allowed


@pytest.mark.parametrize(
    "written", ["dash.example", "Dash.Example:8443", "dash.example.", "[fd00::1]:80", "fd00::1"]
)
def test_an_allowed_host_may_be_written_as_the_refusal_shows_it(written: str) -> None:
    options = WebOptions(allowed_hosts=(written,))
    name = "dash.example" if "example" in written.lower() else "[fd00::1]"
    assert host_allowed(name, options)
    assert host_allowed(f"{name}:8443", options)
    assert not host_allowed("rebound.example:8443", options)


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8050", "localhost:8050", True),
        ("http://localhost", "localhost:80", True),
        ("https://dash.example", "dash.example:443", True),
        ("https://dash.example", "dash.example", True),
        ("http://[::1]:8050", "[::1]:8050", True),
        ("http://localhost:8050", "localhost:8051", False),
        ("http://localhost:8050", "127.0.0.1:8050", False),
        ("null", "localhost", False),
        ("", "localhost", False),
        ("file://localhost", "localhost", False),
        ("http://localhost:8050/x", "localhost:8050", False),
        ("http://u@localhost:8050", "localhost:8050", False),
        ("http://[", "localhost", False),
    ],
)
def test_origins(origin: str, host: str, same: bool) -> None:
    assert origin_matches(origin, host) is same


@given(st.text(), st.text())
def test_nothing_breaks_it(origin: str, host: str) -> None:
    assert host_allowed(host, WebOptions()) in (True, False)
    assert origin_matches(origin, host) in (True, False)
