"""A Kubernetes cluster as igdash needs it: where the gadget pods are, and a way to each.

Only here the official client is imported, and only when a kubernetes environment is used: loading
it takes over half a second. It gives configuration, credentials and their renewal, and the HTTP
session; watches and port-forwards run on that session, on igdash's own event loop, so that a
hundred nodes need no thread of their own.

Facts used (confirmed.md 25-28): port-forward over WebSocket needs the verbs get and create; a
watch from an old version answers 200 and one ERROR event 410; when the API server dies, a watch's
body just ends.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from igdash.domain.environments import Environment
from igdash.domain.errors import SourceError
from igdash.sources.native.client import GrpcClient
from igdash.sources.native.forward import open_forward
from igdash.sources.native.runs import Backoff

log = logging.getLogger(__name__)

GADGET_LABEL: Final = "k8s-app=gadget"
GADGET_PORT: Final = 8080
LIST_SECONDS: Final = 15
WATCH_SECONDS: Final = 290
"""The server ends a watch after this long, so that a dead one is never waited for for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A gadget pod: on which node, and whether it is on its way out."""

    name: str
    node: str
    ending: bool = False
    version: str = ""


class Denied(SourceError):
    """The API server refused: the message says which verb on which resource in which namespace."""


class Gone(Exception):
    """The watched version is too old (410): list again."""


Listener = Callable[[], None]


class Cluster:
    """One cluster. Everything but the constructor runs on the loop."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.pods: dict[str, Pod] = {}
        self.trouble = "not asked yet"
        self.version = ""
        self.listeners: set[Listener] = set()
        self._api: Any = None
        self._task: asyncio.Task[None] | None = None
        self.answered = asyncio.Event()

    # -- life

    def begin(self) -> None:
        """Start watching the gadget pods, once."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(
                self._watch_pods(), name="gadget-pods"
            )

    async def close(self) -> None:
        """Stop watching and close the HTTP session."""
        if self._task is not None:
            self._task.cancel()
        await self._forget()

    async def _forget(self) -> None:
        api, self._api = self._api, None
        if api is not None:
            await api.close()

    async def _client(self) -> Any:
        """Return the configured API client, made at the first need."""
        if self._api is None:
            # Importing takes its time and must not hold up the streams on this loop.
            client = await asyncio.to_thread(importlib.import_module, "kubernetes.aio.client")
            config = await asyncio.to_thread(importlib.import_module, "kubernetes.aio.config")
            settings = client.Configuration()
            settings.connection_pool_maxsize = 0
            try:
                await self._load(config, settings)
            except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as error:
                raise SourceError(f"the kubeconfig cannot be used: {error}") from error
            self._api = client.ApiClient(settings)
        return self._api

    async def _load(self, config: Any, settings: Any) -> None:
        environment = self._environment
        if not environment.kubeconfig and not environment.context:
            try:
                config.load_incluster_config(client_configuration=settings)
                return
            except config.ConfigException:
                pass
        await config.load_kube_config(
            config_file=environment.kubeconfig or None,
            context=environment.context or None,
            client_configuration=settings,
        )

    # -- requests

    async def _headers(self, api: Any) -> dict[str, str]:
        headers: dict[str, str] = {"Accept": "application/json", "User-Agent": "igdash"}
        await api.update_params_for_auth(headers, [], ["BearerToken"])
        return headers

    async def lines(
        self, path: str, query: Mapping[str, str], *, timeout: float
    ) -> AsyncIterator[bytes]:
        """Yield the lines of a GET's body as they come. Raises `SourceError`, `Denied`, `Gone`."""
        api = await self._client()
        aiohttp = importlib.import_module("aiohttp")
        session = api.rest_client.pool_manager
        try:
            async with session.get(
                api.configuration.host + path,
                params=dict(query),
                headers=await self._headers(api),
                server_hostname=api.configuration.tls_server_name,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=LIST_SECONDS, sock_read=timeout
                ),
            ) as response:
                if response.status != 200:
                    await self._refused(path, query, response.status, await response.text())
                pending = b""
                async for part in response.content.iter_any():
                    *whole, pending = (pending + part).split(b"\n")
                    for line in whole:
                        yield line
                if pending:
                    yield pending
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SourceError(
                f"the API server {api.configuration.host} does not answer: {error}"
            ) from error

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return a GET's JSON. Raises as `lines`."""
        body = [line async for line in self.lines(path, query or {}, timeout=LIST_SECONDS)]
        answer: dict[str, Any] = json.loads(b"\n".join(body))
        return answer

    async def _refused(self, path: str, query: Mapping[str, str], status: int, body: str) -> None:
        try:
            message = json.loads(body).get("message", body)
        except ValueError:
            message = body.strip()
        if status == 401:
            # The token ran out: configuration and credentials are read anew at the next request.
            await self._forget()
            raise SourceError(
                "the API server does not accept the credentials (401); they are read anew"
            )
        if status == 403:
            verb = "watch" if query.get("watch") else "list"
            raise Denied(f"not allowed: {verb} on {path} ({message})")
        if status == 410:
            raise Gone(message)
        raise SourceError(f"GET {path}: HTTP {status}: {message}")

    # -- the gadget pods

    async def _watch_pods(self) -> None:
        backoff = Backoff()
        namespace = self._environment.gadget_namespace
        path = f"/api/v1/namespaces/{namespace}/pods"
        while True:
            try:
                self.version = (await self.get("/version")).get("gitVersion", "")
                await self._list_and_watch(path, backoff)
            except Gone:
                continue
            except (SourceError, ValueError) as error:
                self._say(str(error))
                await asyncio.sleep(backoff.next())
            except Exception as error:
                log.exception("watching the gadget pods failed")
                self._say(f"watching the gadget pods failed: {error}")
                await asyncio.sleep(backoff.next())

    async def _list_and_watch(self, path: str, backoff: Backoff) -> None:
        query = {"labelSelector": GADGET_LABEL}
        listed = await self.get(path, query)
        self.pods = {}
        for item in listed.get("items", []):
            self._take("ADDED", item)
        version = listed["metadata"]["resourceVersion"]
        found = bool(self.pods)
        self._say(
            ""
            if found
            else f"no pod with label {GADGET_LABEL} in namespace {path.split('/')[4]}: is Inspektor Gadget deployed there?"
        )
        backoff.reset()
        while True:
            watch = query | {
                "watch": "1",
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(WATCH_SECONDS),
            }
            async for line in self.lines(path, watch, timeout=WATCH_SECONDS + 30):
                if not line.strip():
                    continue
                event = json.loads(line)
                kind, item = event["type"], event["object"]
                if kind == "ERROR":
                    if item.get("code") == 410:
                        raise Gone(item.get("message", ""))
                    raise SourceError(f"the watch failed: {item.get('message', item)}")
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    self._take(kind, item)
                    self._say("")

    def _take(self, kind: str, item: Mapping[str, Any]) -> None:
        name, node = item["metadata"]["name"], item.get("spec", {}).get("nodeName", "")
        if not node:
            return
        phase = item.get("status", {}).get("phase", "")
        ending = "deletionTimestamp" in item["metadata"] or phase in ("Failed", "Succeeded")
        known = self.pods.get(node)
        if kind == "DELETED" or ending:
            if known is not None and known.name == name:
                self.pods[node] = Pod(name=name, node=node, ending=True)
                if kind == "DELETED":
                    del self.pods[node]
        else:
            self.pods[node] = Pod(name=name, node=node)

    def _say(self, trouble: str) -> None:
        self.trouble = trouble
        self.answered.set()
        for listener in tuple(self.listeners):
            listener()

    def suggestions(self) -> dict[str, tuple[str, ...]]:
        """Return known values for a target's fields."""
        return {"node": tuple(sorted(self.pods))}

    # -- the way to a pod

    async def connect(self, node: str) -> GrpcClient:
        """Return a connection to the gadget pod that is on `node` now. Raises `SourceError`."""
        pod = self.pods.get(node)
        if pod is None:
            raise SourceError(f"there is no gadget pod on {node} at the moment")
        api = await self._client()
        namespace = self._environment.gadget_namespace
        path = f"/api/v1/namespaces/{namespace}/pods/{pod.name}/portforward"
        url = f"{api.configuration.host}{path}?ports={GADGET_PORT}"
        headers = await self._headers(api)
        return await open_forward(
            api.rest_client.pool_manager,
            url,
            headers,
            server_hostname=api.configuration.tls_server_name,
        )
