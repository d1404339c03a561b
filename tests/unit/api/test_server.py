"""Who may listen where, and what is said when a port cannot be had."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

from igdash.api import server
from igdash.domain.errors import SettingsError
from tests.support.waiting import patience


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


SCRIPT = """
import importlib.util, os, sys
from igdash.api import server, serving

if {hide}:
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *more: None if name == "gunicorn" else found(name, *more)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        import time; time.sleep(0.5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SERVER_SOFTWARE"].encode()]

def say(word):
    os.write(1, (word + chr(10)).encode())

def build():
    if {broken}:
        raise RuntimeError("cannot be built")
    return app

serving.serve(
    server.Served(build=build, started=say, stop=lambda: say("stop")),
    server.ServerOptions(host="127.0.0.1", port=0, max_sockets=4, graceful=1, owned={owned}),
)
"""


def start(*, hide: bool = False, broken: bool = False, owned: bool = False):
    script = SCRIPT.format(hide=hide, broken=broken, owned=owned)
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=patience(10))
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hide", [False, True])
def test_a_server_says_where_it_is_and_stops_when_asked(hide: bool, number: signal.Signals):
    process = start(hide=hide)
    url = process.stdout.readline().strip()
    with urllib.request.urlopen(url, timeout=10) as answer:
        software = answer.read().decode()
    assert software.lower().startswith("werkzeug" if hide else "gunicorn")
    process.send_signal(number)
    assert finish(process) == (0, "stop\n", "")


@pytest.mark.parametrize("hide", [False, True])
def test_a_server_stops_when_its_owner_is_gone(hide: bool):
    process = start(hide=hide, owned=True)
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    code, _, err = finish(process)  # closes stdin
    assert (code, err) == (0, "")


def test_a_request_in_flight_is_answered():
    process = start()
    url = process.stdout.readline().strip()
    answers: list[int] = []

    def ask() -> None:
        with urllib.request.urlopen(f"{url}/slow", timeout=10) as answer:
            answers.append(answer.status)

    thread = threading.Thread(target=ask)
    thread.start()
    pause = threading.Event()
    pause.wait(0.2)
    process.send_signal(signal.SIGTERM)
    thread.join(10)
    assert finish(process)[0] == 0
    assert answers == [200]


def test_an_application_that_cannot_be_built_is_no_refusal():
    code, _, err = finish(start(broken=True))
    assert code == 1
    assert "cannot be built" in err
