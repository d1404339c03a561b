"""Ways to an `ig daemon`: a Unix socket, plain TCP, or TCP with mutual TLS.

Each opens a connection or raises `SourceError` with one line that names what is wrong and what to
do; the protocol above does not know which one it got.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from igdash.domain.environments import parse_address
from igdash.domain.errors import SourceError
from igdash.sources.native.client import CLOSING, GrpcClient

CONNECT_SECONDS: Final = 5.0
DEAD_AFTER_SECONDS: Final = 25
"""A peer that vanished without a word (no RST) is noticed after this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Mutual TLS: all of it, or none (`ig daemon` demands a client certificate)."""

    ca: str
    cert: str
    key: str
    server_name: str = ""


def context(tls: Tls) -> ssl.SSLContext:
    """Return the client's TLS context. Raises `SourceError` naming the file that is wrong."""
    for what, path in (
        ("CA certificate", tls.ca),
        ("client certificate", tls.cert),
        ("client key", tls.key),
    ):
        if not Path(path).is_file():
            raise SourceError(f"the {what} {path!r} does not exist")
    try:
        made = ssl.create_default_context(cafile=tls.ca)
    except ssl.SSLError as error:
        raise SourceError(
            f"the CA certificate {tls.ca!r} is not a PEM certificate ({error.reason})"
        ) from error
    except OSError as error:
        raise SourceError(
            f"the CA certificate {tls.ca!r} cannot be read: {error.strerror}"
        ) from error
    try:
        # The empty passphrase keeps OpenSSL from asking for one on the terminal.
        made.load_cert_chain(tls.cert, tls.key, password="")
    except ssl.SSLError as error:
        raise SourceError(
            f"the client certificate {tls.cert!r} and key {tls.key!r} cannot be used ({error.reason}): "
            "both must be PEM, belong together, and the key must have no passphrase"
        ) from error
    except OSError as error:
        raise SourceError(f"the client key {tls.key!r} cannot be read: {error.strerror}") from error
    # As Go does it: certificates made by hand often lack what the strict rules want.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.set_alpn_protocols(["h2"])
    return made


def keep_alive(sock: socket.socket) -> None:
    """Let TCP itself find a dead peer within `DEAD_AFTER_SECONDS`: IG forbids frequent pings."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_SECONDS * 1000)


def daemon(address: str, tls: Tls | None) -> Callable[[], Awaitable[GrpcClient]]:
    """Return what opens a connection to the daemon at `address`."""
    kind, host, port = parse_address(address)

    async def connect() -> GrpcClient:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if kind == "unix":
                    _, client = await loop.create_unix_connection(
                        lambda: GrpcClient("localhost"), host
                    )
                    return client
                made = context(tls) if tls else None
                name = (tls.server_name or host) if tls else None
                transport, client = await loop.create_connection(
                    lambda: GrpcClient(host),
                    host,
                    port,
                    ssl=made,
                    server_hostname=name,
                    ssl_shutdown_timeout=CLOSING if made else None,
                )
                keep_alive(transport.get_extra_info("socket"))
                return client
        except TimeoutError as error:
            raise SourceError(
                f"{address} does not answer within {CONNECT_SECONDS:.0f} s"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise SourceError(
                f"{address}: the server's certificate is refused: {error.verify_message}"
            ) from error
        except ssl.SSLError as error:
            raise SourceError(f"{address}: {_why_no_tls(error)}") from error
        except OSError as error:
            raise SourceError(f"{address}: {_why(error, host)}") from error

    return connect


def _why_no_tls(error: ssl.SSLError) -> str:
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "wrong version number" in reason or "record layer" in reason:
        return "the daemon does not speak TLS: leave the tls_ settings out, or start it with TLS"
    return f"TLS failed ({reason})"


def _why(error: OSError, host: str) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket: is `ig daemon` running?"
    if isinstance(error, PermissionError):
        return "no permission: join the group of the socket, or run igdash as a user who may use it"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: is `ig daemon` running?"
    if isinstance(error, socket.gaierror):
        return f"the host name {host!r} cannot be resolved"
    return error.strerror or str(error) or type(error).__name__
