"""What the web side can be told from outside; `bootstrap` fills it from the settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """Limits and names of the web server.

    `host` is the address bound; `allowed_hosts` are further names under which browsers may reach
    it (a reverse proxy's). `script_hashes` are CSP sources (`'sha256-…'`) of inline scripts; those
    of the pages are added later under `app.config["SCRIPT_HASHES"]`. Times are in seconds, sizes
    in bytes. A socket whose reader takes nothing for `send_timeout` is closed.
    """

    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    script_hashes: tuple[str, ...] = ()
    max_sockets: int = 64
    max_message: int = 65_536
    max_body: int = 1_048_576
    max_upload: int = 4 * 1024**3
    send_timeout: float = 15.0
    ping_interval: float = 25.0
