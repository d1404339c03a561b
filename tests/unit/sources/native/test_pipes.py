"""Ways to a daemon: each thing that can be wrong has its own words."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from igdash.domain.environments import Environment, EnvironmentKind, EnvironmentStatus, Health
from igdash.sources.native.client import _why
from igdash.sources.native.daemon import DaemonSource
from tests.support.certificates import Authority
from tests.support.daemon import VERSION, Daemon, numbered
from tests.support.native import numbers, streaming


class Files(NamedTuple):
    """A daemon that wants TLS, and the files of a client it accepts."""

    address: str
    ca: str
    cert: str
    key: str
    folder: Path
    authority: Authority


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    cert, key = authority.make("ig-daemon", "ig.example", "127.0.0.1")
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), cert.read_bytes())],
        root_certificates=authority.ca.read_bytes(),
        require_client_auth=True,
    )
    daemon = Daemon({"numbers": numbered(10)}, credentials=credentials)
    ours, our_key = authority.make("igdash")
    yield Files(daemon.address, str(authority.ca), str(ours), str(our_key), folder, authority)
    daemon.kill()


@pytest.fixture
def plain() -> Iterator[Daemon]:
    daemon = Daemon({"numbers": numbered(10)})
    yield daemon
    daemon.kill()


def status(address: str, **keys: str) -> EnvironmentStatus:
    made = Environment(name="host", kind=EnvironmentKind.IG_DAEMON, address=address, **keys)
    found = DaemonSource(made).status()
    assert (found.health is Health.UP) == (found.reason == "")
    return found


def with_tls(tls: Files, **other: str) -> EnvironmentStatus:
    keys = {"tls_ca": tls.ca, "tls_cert": tls.cert, "tls_key": tls.key}
    address = other.pop("address", tls.address)
    return status(address, **keys | other)


def test_mutual_tls(tls: Files) -> None:
    assert with_tls(tls).version == VERSION
    assert with_tls(tls, tls_server_name="ig.example").version == VERSION
    keys = {"tls_ca": tls.ca, "tls_cert": tls.cert, "tls_key": tls.key}
    with streaming(tls.address, **keys) as sink:
        sink.wait_for(events=10)
    assert numbers(sink) == list(range(1, 11))


def test_without_tls(plain: Daemon) -> None:
    assert status(plain.address).version == VERSION


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "ig.socket"
    daemon = Daemon({"numbers": numbered(3)}, f"unix:{path}")
    assert status(f"unix://{path}").version == VERSION
    with streaming(f"unix://{path}") as sink:
        sink.wait_for(events=3)
    daemon.kill()


def test_each_mistake_with_files_is_named(tls: Files) -> None:
    junk, other = tls.folder / "junk.pem", Authority(tls.folder, "other")
    junk.write_text("no certificate")
    foreign, foreign_key = other.make("foreign")
    assert f"the CA certificate '{tls.folder}/x' does not exist" in reason(
        tls, tls_ca=f"{tls.folder}/x"
    )
    assert "the client certificate '/x' does not exist" in reason(tls, tls_cert="/x")
    assert "the client key '/x' does not exist" in reason(tls, tls_key="/x")
    assert f"the CA certificate '{junk}' is not a PEM" in reason(tls, tls_ca=str(junk))
    assert "cannot be used" in reason(tls, tls_cert=str(junk))
    assert "cannot be used" in reason(tls, tls_key=str(junk))
    assert "must be PEM, belong together" in reason(tls, tls_key=str(foreign_key))
    assert "refused: unable to get local issuer certificate" in reason(tls, tls_ca=str(other.ca))
    assert "Hostname mismatch" in reason(tls, tls_server_name="wrong.example")
    locked = tls.authority.lock(Path(tls.key), "locked")
    assert "must have no passphrase" in reason(tls, tls_key=str(locked))
    refused = reason(tls, tls_cert=str(foreign), tls_key=str(foreign_key))
    assert "does the daemon accept the client certificate" in refused


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "the server wants a client certificate"),
        (
            "SSLV3_ALERT_BAD_CERTIFICATE",
            "the server refuses our certificate (sslv3 alert bad certificate)",
        ),
    ],
)
def test_a_refusal_that_comes_after_the_handshake_is_named(alert: str, words: str) -> None:
    error = ssl.SSLError(1, f"[SSL: {alert}] it said")
    error.reason = alert
    assert words in _why(error)


def reason(tls: Files, **other: str) -> str:
    return with_tls(tls, **other).reason


def test_an_expired_certificate(tls: Files) -> None:
    cert, key = tls.authority.make("expired", "127.0.0.1", expired=True)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
    daemon = Daemon({}, credentials=credentials)
    assert "certificate has expired" in reason(tls, address=daemon.address)
    daemon.kill()


def test_tls_to_a_daemon_without_it(tls: Files, plain: Daemon) -> None:
    assert "does not speak TLS" in reason(tls, address=plain.address)


def test_no_tls_to_a_daemon_that_wants_it(tls: Files) -> None:
    assert "does the daemon want TLS (tls_ca, tls_cert, tls_key)?" in status(tls.address).reason


def test_nobody_there(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    assert (
        f"tcp://127.0.0.1:{port}: connection refused: is `ig daemon` running?"
        in status(f"tcp://127.0.0.1:{port}").reason
    )
    assert "no such socket" in status(f"unix://{tmp_path}/ig.socket").reason
    assert "cannot be resolved" in status("tcp://no-such-host.invalid:8080").reason


def test_something_else_there(monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(10)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.recv(10_000)

    threading.Thread(target=answer, daemon=True).start()
    assert "does not speak HTTP/2" in status(f"tcp://127.0.0.1:{server.getsockname()[1]}").reason
    server.close()


def test_a_listener_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    from igdash.sources.native import daemon as module

    monkeypatch.setattr(module, "STATUS_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        found = status(f"tcp://127.0.0.1:{server.getsockname()[1]}")
    assert "no answer" in found.reason
