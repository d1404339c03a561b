"""Who may listen where, and what is said when a port cannot be had."""

from __future__ import annotations

import socket
import threading

import pytest

from igdash.api import server
from igdash.domain.errors import SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_permission(host: str):
    server.check_bind(host, insecure_no_login=False)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "[::]", "10.1.2.3", "example.org", "localhost.evil", "", "0"]
)
def test_any_other_address_is_refused_unless_allowed(host: str):
    with pytest.raises(SettingsError, match="--insecure-no-login"):
        server.check_bind(host, insecure_no_login=False)
    server.check_bind(host, insecure_no_login=True)


def test_a_busy_port_is_named():
    with server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert server.url_of(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(server.PortBusy, match=f"port {port} on 127.0.0.1 is in use"):
            server.check_port("127.0.0.1", port)
    server.check_port("127.0.0.1", port)


def test_patience_outlasts_a_dying_predecessor():
    taken = server.listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    threading.Timer(0.3, taken.close).start()
    server.listen("127.0.0.1", port, patience=5).close()


def test_an_address_that_is_not_ours():
    with pytest.raises(server.PortBusy, match=r"192\.0\.2\.1"):
        server.listen("192.0.2.1", 0)
    with pytest.raises(SettingsError, match="no address"):
        server.listen("no such host.invalid", 0)


def test_ipv6_has_brackets_in_its_url():
    try:
        listener = server.listen("::1", 0)
    except server.PortBusy:
        pytest.skip("no IPv6 here")
    with listener:
        assert listener.family == socket.AF_INET6
        assert server.url_of(listener).startswith("http://[::1]:")


def test_threads_are_sockets_and_some_for_requests():
    options = server.ServerOptions(host="127.0.0.1", port=0, max_sockets=10)
    assert options.threads == 42
