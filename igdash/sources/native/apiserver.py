"""Requests to a cluster's API server, with credentials that renew themselves.

Only here the official client is imported, and only when a kubernetes environment is used: loading
it takes over half a second. It reads kubeconfigs, runs credential plugins and re-reads the token of
a pod's account; the requests themselves run on its HTTP session, on igdash's one event loop, so that
a hundred nodes need no thread of their own.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from igdash.domain.environments import Environment
from igdash.domain.errors import SourceError

REQUEST_SECONDS: Final = 15.0
RELOAD_SECONDS: Final = 5.0
"""Credentials younger than this are not read anew: a hundred refused requests at a time are one
reason to run a credential plugin, not a hundred."""
CLOSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What the API server must allow: verbs on a resource, in a namespace or (empty) everywhere."""

    verb: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.verb} {self.resource} {where}"


class Denied(SourceError):
    """The API server refused (403): the message names verb, resource and namespace."""

    def __init__(self, right: Right) -> None:
        self.right = right
        super().__init__(f"missing right: {right}")


class Gone(SourceError):
    """The version to go on from is too old (410): list again."""


class NotThere(SourceError):
    """There is no such object (404)."""


class _Refresh(Exception):
    """The credentials were refused (401) and have been dropped: ask again with new ones."""


@dataclass(slots=True)
class _Session:
    """An official client; closed when it is no longer current and nobody uses it."""

    client: Any
    made: float
    uses: int = 0
    retired: bool = False


class ApiServer:
    """One cluster's API server. Lives on the loop."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._current: _Session | None = None
        self._making = asyncio.Lock()

    # -- requests

    async def get(self, path: str, right: Right, query: Mapping[str, str] | None = None) -> bytes:
        """Return a GET's body. Raises `Denied`, `Gone`, `NotThere`, else `SourceError`."""
        async with self._request(path, right, query or {}, REQUEST_SECONDS) as response:
            body: bytes = await response.read()
            return body

    async def lines(
        self, path: str, right: Right, query: Mapping[str, str], *, silence: float
    ) -> AsyncGenerator[bytes, None]:
        """Yield a GET's lines as they come, until the server ends it or keeps silent for `silence` s.

        Raises as `get`.
        """
        async with self._request(path, right, query, silence) as response:
            pending = bytearray()
            async for part in response.content.iter_any():
                pending += part
                if b"\n" in part:
                    *whole, rest = pending.split(b"\n")
                    for line in whole:
                        yield bytes(line)
                    pending = bytearray(rest)
            if pending:
                yield bytes(pending)

    async def upgrade(self, path: str, right: Right, protocol: str) -> ApiSocket:
        """Return a WebSocket. Raises as `get`."""
        aiohttp = importlib.import_module("aiohttp")
        try:
            for last in (False, True):
                session = await self._session()
                session.uses += 1
                try:
                    async with asyncio.timeout(REQUEST_SECONDS):
                        socket = await session.client.rest_client.pool_manager.ws_connect(
                            self.url(session.client, path),
                            protocols=(protocol,),
                            max_msg_size=0,
                            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                            **await self._options(session.client),
                        )
                    return ApiSocket(self, session, socket)
                except BaseException as error:
                    await self._release(session)
                    if not isinstance(error, aiohttp.WSServerHandshakeError):
                        raise
                    try:
                        await self._refused(session, path, right, error.status, error.message, last)
                    except _Refresh:
                        continue
            raise AssertionError("the second answer decides")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> SourceError:
        host = self._current.client.configuration.host if self._current else ""
        return SourceError(f"the API server {host} does not answer: {_why(error)}")

    async def close(self) -> None:
        """Close the session as soon as nobody uses it."""
        if self._current is not None:
            await self._retire(self._current)

    @staticmethod
    def url(client: Any, path: str) -> str:
        """Return a path's full address."""
        return f"{client.configuration.host}{path}"

    @asynccontextmanager
    async def _request(
        self, path: str, right: Right, query: Mapping[str, str], silence: float
    ) -> AsyncIterator[Any]:
        aiohttp = importlib.import_module("aiohttp")
        limits = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=silence)
        try:
            for last in (False, True):
                session = await self._session()
                session.uses += 1
                try:
                    async with session.client.rest_client.pool_manager.get(
                        self.url(session.client, path),
                        params=dict(query),
                        timeout=limits,
                        **await self._options(session.client),
                    ) as response:
                        if response.status != 200:
                            text = await response.text()
                            await self._refused(session, path, right, response.status, text, last)
                        yield response
                        return
                except _Refresh:
                    continue
                finally:
                    await self._release(session)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    async def _options(self, client: Any) -> dict[str, Any]:
        headers: dict[str, str] = {"Accept": "application/json", "User-Agent": "igdash"}
        await client.update_params_for_auth(headers, [], ["BearerToken"])
        return {
            "headers": headers,
            "proxy": client.configuration.proxy,
            "server_hostname": client.configuration.tls_server_name,
        }

    async def _refused(
        self, session: _Session, path: str, right: Right, status: int, body: str, last: bool
    ) -> None:
        """Raise what an answer other than 200 means."""
        message = _message(body)
        if status == 401:
            fresh = asyncio.get_running_loop().time() - session.made < RELOAD_SECONDS
            if not fresh:
                await self._retire(session)
            if not last and self._current is not session:
                raise _Refresh
            raise SourceError("the API server does not accept the credentials (401)")
        if status == 403:
            raise Denied(right)
        if status == 404:
            raise NotThere(f"{path}: {message}")
        if status == 410:
            raise Gone(message)
        raise SourceError(f"the API server answers HTTP {status} to {path}: {message}")

    # -- sessions

    async def _session(self) -> _Session:
        """Return the session with the credentials of now, made at the first need."""
        async with self._making:
            if self._current is None:
                made = await self._configured()
                self._current = _Session(made, asyncio.get_running_loop().time())
            return self._current

    async def _configured(self) -> Any:
        # Importing takes its time and must not hold up the streams on this loop.
        client = await asyncio.to_thread(importlib.import_module, "kubernetes.aio.client")
        config = await asyncio.to_thread(importlib.import_module, "kubernetes.aio.config")
        invalid = importlib.import_module("yaml").YAMLError
        settings = client.Configuration()
        settings.connection_pool_maxsize = 0
        try:
            await self._load(config, settings)
            return client.ApiClient(settings)
        except (config.ConfigException, invalid) as error:
            raise SourceError(f"the kubeconfig cannot be used: {error}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"the kubeconfig cannot be used: {_why(error)}") from error

    async def _load(self, config: Any, settings: Any) -> None:
        """Read the kubeconfig; without one, the account of the pod that igdash runs in."""
        environment = self._environment
        files = environment.kubeconfig or config.KUBE_CONFIG_DEFAULT_LOCATION
        exists = any(Path(one).expanduser().is_file() for one in files.split(os.pathsep) if one)
        if exists:
            await config.load_kube_config(
                config_file=files,
                context=environment.context or None,
                client_configuration=settings,
                persist_config=False,
            )
            return
        if environment.kubeconfig or environment.context:
            raise SourceError(f"there is no kubeconfig {files}")
        try:
            config.load_incluster_config(client_configuration=settings)
        except config.ConfigException as error:
            raise SourceError(
                f"there is no kubeconfig {files}, and igdash does not run in a pod ({error})"
            ) from error

    async def _retire(self, session: _Session) -> None:
        """Use it for nothing new: its open watches and forwards go on, then it is closed."""
        session.retired = True
        if self._current is session:
            self._current = None
        if not session.uses:
            await session.client.close()

    async def _release(self, session: _Session) -> None:
        session.uses -= 1
        if session.retired and not session.uses:
            await session.client.close()


class ApiSocket:
    """A WebSocket that keeps its session open until it is closed itself."""

    def __init__(self, server: ApiServer, session: _Session, socket: Any) -> None:
        self._server = server
        self._session: _Session | None = session
        self._socket = socket

    async def send(self, data: bytes) -> None:
        """Send one message. Raises `OSError`."""
        try:
            await self._socket.send_bytes(data)
        except RuntimeError as error:
            raise OSError(str(error)) from error

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield the binary messages until the socket is closed. Raises `OSError` when it broke."""
        kinds = importlib.import_module("aiohttp").WSMsgType
        async for message in self._socket:
            if message.type is kinds.BINARY and message.data:
                yield message.data
            elif message.type is kinds.ERROR:
                raise OSError(f"the WebSocket broke: {message.data}")

    async def close(self) -> None:
        """Close it; safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            try:
                await self._socket.close()
            finally:
                await self._server._release(session)


def _message(body: str) -> str:
    """Return the text of a Status object, or the body as it is (some refusals are plain text)."""
    try:
        status = json.loads(body)
    except ValueError:
        return body.strip()[:500]
    return str(status.get("message", body))[:500] if isinstance(status, dict) else body[:500]


def _why(error: BaseException) -> str:
    """Return a readable reason; the HTTP library's own texts show objects."""
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is refused ({cause.verify_message})"
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed ({cause.reason or cause})"
    if isinstance(cause, TimeoutError) and not str(cause):
        return f"nothing came within {REQUEST_SECONDS:.0f} s"
    if isinstance(cause, OSError) and (cause.errno or 0) > 0:
        return os.strerror(cause.errno or 0)
    return str(getattr(cause, "strerror", "") or cause or type(cause).__name__)
