"""Who may talk to us: checked once, before every request, static files, pages and sockets included.

igdash has no login and is bound to loopback by default, so the attacker to think of is a web page
in the operator's own browser. Three doors, three rules:

* DNS rebinding: `Host` must be a name we know (400). On a wildcard bind any IP address is fine
  too, as rebinding needs a name.
* Cross-site requests: an unsafe method must come from our own pages: `Sec-Fetch-Site`, where sent,
  must be `same-origin` or `none`; `Origin`, where sent, must be the `Host` (403). Every browser of
  the last years sends at least one of them with a cross-site POST. When neither is there it is a
  script; it must send JSON or no body at all, which no HTML form can do (415). A file must come as
  a type that no form can send.
* Sockets: a WebSocket handshake is a GET that ignores the same-origin policy, so it gets the rule
  for unsafe methods. A refused handshake is answered with the HTTP status and never upgraded.

Reading across sites is stopped by the browser: there are no CORS headers, and
`Cross-Origin-Resource-Policy` keeps answers out of foreign pages.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Flask, Response, request

from igdash.api.options import WebOptions
from igdash.api.problems import is_ours, problem

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})
_FORMS = frozenset({"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def split_host(text: str, default_port: int | None = None) -> tuple[str, int | None] | None:
    """Return (lower-case name, port) of a `Host` value such as `[::1]:8050`; None when malformed."""
    if not text or any(c in text for c in "/\\@?# \t,"):
        return None
    try:
        parts = urlsplit("//" + text)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or text.endswith(":"):
        return None
    return name.rstrip("."), port if port is not None else default_port


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(allowed: str) -> str:
    """Return the name of an allowed host; it may be written as a browser sends it, port included."""
    found = split_host(allowed)
    return found[0] if found else allowed.strip("[]").lower()


def host_allowed(host: str, options: WebOptions) -> bool:
    """Whether a `Host` header names this server."""
    found = split_host(host)
    if found is None:
        return False
    name = found[0]
    if name in _LOOPBACK or name == options.host.strip("[]").lower():
        return True
    if name in map(_name_of, options.allowed_hosts):
        return True
    return options.host.strip("[]") in _WILDCARDS and _is_address(name)


def origin_matches(origin: str, host: str) -> bool:
    """Whether an `Origin` header is the page served under this `Host`, port included."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = _DEFAULT_PORTS.get(parts.scheme)
    if default is None or parts.path or parts.query or parts.fragment:
        return False
    theirs = split_host(parts.netloc, default)
    return theirs is not None and theirs == split_host(host, default)


class _Guard:
    """The checks of one application."""

    def __init__(self, app: Flask, options: WebOptions, files: frozenset[str]) -> None:
        self._app = app
        self._options = options
        self._files = files

    def before(self) -> Response | None:
        """Refuse what may not come in. Runs for pages, assets, API and sockets alike."""
        host = request.headers.get("Host", "")
        if not host_allowed(host, self._options):
            return problem(
                400,
                f"the Host {host[:100]!r} is not one this server answers to; "
                "add it to web.allowed_hosts if it should be",
            )
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if request.method not in _SAFE or upgrade:
            return self._unsafe(host, upgrade)
        return None

    def _unsafe(self, host: str, upgrade: bool) -> Response | None:
        headers = request.headers
        site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
        if site is not None and site not in ("same-origin", "none"):
            return problem(403, f"refused: sent by another site (Sec-Fetch-Site: {site[:40]})")
        if origin is not None and not origin_matches(origin, host):
            return problem(403, f"refused: sent by another site (Origin: {origin[:100]})")
        if upgrade:
            return None
        if request.path in self._files:
            return self._file(from_page=site is not None or origin is not None)
        if (request.content_length or 0) > self._options.max_body:
            return problem(413, f"the body is larger than {self._options.max_body} bytes")
        if site is None and origin is None and _has_body() and not request.is_json:
            return problem(415, "send the body as application/json")
        return None

    def _file(self, *, from_page: bool) -> Response | None:
        """Refuse a file that is too large, or may come from a form of another site."""
        limit = self._options.max_upload
        if (request.content_length or 0) >= limit:
            return problem(
                413, f"the file is not smaller than {limit >> 20} MiB (web.max_upload_mb)"
            )
        if not from_page and _has_body() and request.mimetype in _FORMS:
            return problem(415, "send the file as application/octet-stream")
        request.max_content_length = limit
        return None

    def after(self, response: Response) -> Response:
        """Put the security headers on every response."""
        headers = response.headers
        headers["Content-Security-Policy"] = self._policy()
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        if is_ours(request.path):
            headers["Cache-Control"] = "no-store"
        return response

    def _policy(self) -> str:
        added: Sequence[str] = self._app.config.get("SCRIPT_HASHES", ())
        scripts = " ".join(["'self'", *self._options.script_hashes, *added])
        return (
            f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )


def _has_body() -> bool:
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def guard(app: Flask, options: WebOptions, files: frozenset[str] = frozenset()) -> None:
    """Install the checks and headers on `app`; the body of `files` (paths) may be any file."""
    checks = _Guard(app, options, files)
    app.config["MAX_CONTENT_LENGTH"] = options.max_body
    app.config["MAX_FORM_PARTS"] = 100
    app.before_request(checks.before)
    app.after_request(checks.after)
