"""A double of a Kubernetes API server, made after what was recorded from a real one.

Over TLS with an authority of its own: pods, namespaces and nodes with lists (pages, selectors, 504
for a version of the future, 410 for an old page) and watches (bookmarks, ERROR 410 in a 200, an end
after `timeoutSeconds`), tokens and client certificates (401; 403 per verb and resource), and the
port-forward over WebSocket, which pipes to a daemon double per node.

It runs on a thread of its own. All methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import ssl
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import WSMsgType, web

from tests.support.certificates import Authority

T = TypeVar("T")
Rights = frozenset[tuple[str, str, str]]
"""(verb, resource, namespace); namespace "" = cluster scope, which allows every namespace."""

ALL: Rights = frozenset(
    {("list", "pods", ""), ("watch", "pods", "")}
    | {("list", "namespaces", ""), ("watch", "namespaces", "")}
    | {("list", "nodes", ""), ("watch", "nodes", "")}
    | {("get", "pods/portforward", ""), ("create", "pods/portforward", "")}
)
PROTOCOL = "v4.channel.k8s.io"
USER = "system:serviceaccount:demo:igdash"


@dataclass
class Forward:
    """An open port-forward: to which pod, and its WebSocket."""

    pod: str
    socket: web.WebSocketResponse
    transport: asyncio.Transport


@dataclass
class State:
    """What the cluster has; `version` counts changes, `history` tells watches of them."""

    version: int = 1000
    compacted: int = 0
    objects: dict[str, dict[tuple[str, str], dict[str, Any]]] = field(
        default_factory=lambda: {"pods": {}, "namespaces": {}, "nodes": {}}
    )
    history: list[tuple[int, str, str, dict[str, Any]]] = field(default_factory=list)


class FakeApiServer:
    """The server. `used` are the (verb, resource, namespace) it was asked for, allowed or not."""

    def __init__(self, folder: Path, *, bookmark_every: float = 1.0) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.server_files = self.authority.make("apiserver", "127.0.0.1", "localhost")
        self.client_files = self.authority.make("igdash")
        self.tokens: dict[str, Rights] = {"good-token": ALL}
        self.cert_rights: Rights = ALL
        self.used: set[tuple[str, str, str]] = set()
        self.requests: list[str] = []
        self.forwards: list[Forward] = []
        self.ports: dict[str, int] = {}
        self.watches = 0
        self.state = State()
        self.bookmark_every = bookmark_every
        self.port = 0
        self._changed: asyncio.Event
        self._runner: web.AppRunner | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="fake-apiserver", daemon=True)
        self._thread.start()
        self.start()

    # -- life, from any thread

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the server's loop and return the result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._changed = asyncio.Event()
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        # A connection whose TLS is being closed belongs to no handler any more, yet waits for its
        # peer: left to the collector of garbage, it warns in whatever test runs by then.
        for transport in list(self._loop._transports.values()):  # type: ignore[attr-defined]
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
        _bury(self._loop)

    def start(self) -> None:
        """Listen (again, on the same port)."""
        self.run(self._start())

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01
        )
        await self._runner.setup()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.authority.ca))
        tls.load_cert_chain(*self.server_files)
        tls.verify_mode = ssl.CERT_OPTIONAL
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    def kill(self) -> None:
        """End as a killed server does: every connection at once, nothing said."""
        self.run(self._kill())

    async def _kill(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        if runner.server is not None:
            for protocol in list(runner.server.connections):
                if protocol.transport is not None:
                    protocol.transport.abort()
        await asyncio.sleep(0.02)
        await runner.cleanup()

    def close(self) -> None:
        """End it and its thread."""
        self.kill()

        async def drain() -> None:
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def cut(self, pod: str) -> int:
        """Cut the forwards to a pod without a word; return how many."""

        async def cut() -> int:
            hit = [one for one in self.forwards if one.pod == pod]
            for one in hit:
                one.transport.abort()
            return len(hit)

        return self.run(cut())

    # -- what the cluster has, from any thread

    def put(self, kind: str, name: str, namespace: str = "", **parts: Any) -> None:
        """Add or change an object; `parts` are merged into `metadata`, `spec`, `status`."""

        async def put() -> None:
            key = namespace, name
            known = self.state.objects[kind].get(key)
            self.state.version += 1
            meta = {"name": name, "uid": str(uuid.uuid4())}
            if namespace:
                meta["namespace"] = namespace
            made: dict[str, Any] = json.loads(json.dumps(known)) if known else {"metadata": meta}
            for part, values in parts.items():
                made[part] = {**made.get(part, {}), **values}
            made["metadata"]["resourceVersion"] = str(self.state.version)
            self.state.objects[kind][key] = made
            self._tell("MODIFIED" if known else "ADDED", kind, made)

        self.run(put())

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object."""

        async def delete() -> None:
            gone = self.state.objects[kind].pop((namespace, name))
            self.state.version += 1
            gone = json.loads(json.dumps(gone))
            gone["metadata"]["resourceVersion"] = str(self.state.version)
            self._tell("DELETED", kind, gone)

        self.run(delete())

    def compact(self) -> None:
        """Forget the history: watches from before answer 410."""

        async def compact() -> None:
            self.state.version += 1
            self.state.compacted = self.state.version
            self.state.history.clear()

        self.run(compact())

    def _tell(self, event: str, kind: str, made: dict[str, Any]) -> None:
        self.state.history.append((self.state.version, event, kind, made))
        self._changed.set()
        self._changed = asyncio.Event()

    def gadget_pod(self, name: str, node: str, port: int, *, phase: str = "Running") -> None:
        """Add a gadget pod that is up; its port 8080 is `port` of this machine (0 = closed)."""
        self.ports[name] = port
        self.put(
            "pods",
            name,
            "gadget",
            metadata={"labels": {"k8s-app": "gadget", "pod-template-generation": "1"}},
            spec={"nodeName": node, "containers": [{"name": "gadget"}]},
            status=self.status(phase),
        )

    @staticmethod
    def status(phase: str, restarts: int = 0, *, ready: bool = True) -> dict[str, Any]:
        """Return a pod's status."""
        running = phase == "Running"
        one = {
            "name": "gadget",
            "restartCount": restarts,
            "ready": running and ready,
            "started": running and ready,
            "image": "ghcr.io/inspektor-gadget/inspektor-gadget:v0.55.1",
        }
        return {"phase": phase, "containerStatuses": [one]}

    # -- ways in

    def kubeconfig(self, user: dict[str, Any], name: str = "kubeconfig", port: int = 0) -> Path:
        """Write a kubeconfig with this user section and return its path."""
        path = self.folder / name
        server = f"https://127.0.0.1:{port or self.port}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": server, "certificate-authority": str(self.authority.ca)},
                }
            ],
            "users": [{"name": "igdash", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "igdash"}}],
        }
        path.write_text(json.dumps(config))  # JSON is YAML, too
        return path

    def token_config(self, token: str = "good-token", name: str = "kubeconfig") -> Path:
        """Write a kubeconfig with a token."""
        return self.kubeconfig({"token": token}, name)

    def cert_config(self) -> Path:
        """Write a kubeconfig with a client certificate."""
        return self.kubeconfig(
            {
                "client-certificate": str(self.client_files[0]),
                "client-key": str(self.client_files[1]),
            },
            "kubeconfig-cert",
        )

    # -- answers, on the loop

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        rights = self._rights(request)
        if rights is None:
            return _status(401, "Unauthorized", "Unauthorized")
        if request.path == "/version":
            return web.json_response({"major": "1", "minor": "36", "gitVersion": "v1.36.2"})
        parts = request.path.strip("/").split("/")[2:]
        if parts[0] == "namespaces" and len(parts) == 5 and parts[4] == "portforward":
            return await self._portforward(request, rights, parts[1], parts[3])
        namespace = ""
        if parts[0] == "namespaces" and len(parts) == 3:
            namespace, parts = parts[1], parts[2:]
        if len(parts) != 1 or parts[0] not in self.state.objects or request.method != "GET":
            return _status(404, "the server could not find the requested resource", "NotFound")
        kind = parts[0]
        watching = request.query.get("watch") in ("1", "true")
        verb = "watch" if watching else "list"
        if (refused := self._refuse(rights, verb, kind, namespace)) is not None:
            return refused
        try:
            fits = _selected(request.query.get("labelSelector", ""), namespace)
        except ValueError as error:
            return _status(400, str(error), "BadRequest")
        if watching:
            return await self._watch(request, kind, fits)
        return self._list(request, kind, fits)

    def _rights(self, request: web.Request) -> Rights | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.tokens.get(token.strip())
        assert request.transport is not None
        if request.transport.get_extra_info("peercert"):
            return self.cert_rights
        return frozenset()

    def _refuse(
        self, rights: Rights, verb: str, resource: str, namespace: str, name: str = ""
    ) -> web.Response | None:
        self.used.add((verb, resource, namespace))
        if {(verb, resource, ""), (verb, resource, namespace)} & rights:
            return None
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        who = f'User "{USER}" cannot {verb} resource "{resource}" in API group "" {where}'
        subject = f'{resource.partition("/")[0]} "{name}"' if name else resource
        return _status(403, f"{subject} is forbidden: {who}", "Forbidden")

    def _list(
        self, request: web.Request, kind: str, fits: Callable[[dict[str, Any]], bool]
    ) -> web.Response:
        if int(request.query.get("resourceVersion") or 0) > self.state.version:
            asked, current = request.query["resourceVersion"], self.state.version
            text = f"Timeout: Too large resource version: {asked}, current: {current}"
            return _status(504, text, "Timeout")
        objects = [one for _, one in sorted(self.state.objects[kind].items()) if fits(one)]
        meta: dict[str, Any] = {"resourceVersion": str(self.state.version)}
        if request.query.get("resourceVersionMatch") == "Exact":
            return _status(410, "The resourceVersion for the provided list is too old.", "Expired")
        limit, after = int(request.query.get("limit") or 0), request.query.get("continue")
        start = 0
        if after:
            version, _, begin = after.partition("-")
            if int(version) < self.state.compacted:
                return _status(410, "The provided continue parameter is too old", "Expired")
            start, meta["resourceVersion"] = int(begin), version
        if limit and start + limit < len(objects):
            meta["continue"] = f"{meta['resourceVersion']}-{start + limit}"
        page = objects[start : start + limit] if limit else objects
        return web.json_response({"kind": "List", "metadata": meta, "items": page})

    async def _watch(
        self, request: web.Request, kind: str, fits: Callable[[dict[str, Any]], bool]
    ) -> web.StreamResponse:
        self.watches += 1
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        seen = int(request.query.get("resourceVersion") or 0)
        if seen < self.state.compacted:
            text = f"too old resource version: {seen} ({self.state.version})"
            await _event(response, "ERROR", {"kind": "Status", "message": text, "code": 410})
            return response
        until = self._loop.time() + float(request.query.get("timeoutSeconds") or 300)
        while self._loop.time() < until:
            changed = self._changed
            for version, event, of, made in list(self.state.history):
                if version > seen and of == kind and fits(made):
                    await _event(response, event, made)
            seen = self.state.version
            try:
                wait = min(self.bookmark_every, until - self._loop.time())
                await asyncio.wait_for(changed.wait(), max(wait, 0.001))
            except TimeoutError:
                if request.query.get("allowWatchBookmarks") == "true":
                    mark = {"kind": "Pod", "metadata": {"resourceVersion": str(seen)}}
                    mark |= {"spec": {"containers": None}, "status": {}}
                    await _event(response, "BOOKMARK", mark)
        return response

    async def _portforward(
        self, request: web.Request, rights: Rights, namespace: str, name: str
    ) -> web.StreamResponse:
        resource = "pods/portforward"
        for verb in ("get", "create"):
            if (refused := self._refuse(rights, verb, resource, namespace, name)) is not None:
                return refused
        pod = self.state.objects["pods"].get((namespace, name))
        if pod is None:
            return _status(404, f'pods "{name}" not found', "NotFound")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _status(400, "Upgrade request required", "BadRequest")
        if "deletionTimestamp" in pod["metadata"]:
            return web.Response(status=500, text="pod not found")
        if not request.query.get("ports", "").isdigit():
            return _status(400, "cannot convert to []int32", "BadRequest")
        if PROTOCOL not in request.headers.get("Sec-WebSocket-Protocol", ""):
            return web.Response(status=403, headers={"Connection": "close"})
        return await self._pipe(request, name, int(request.query["ports"]))

    async def _pipe(self, request: web.Request, pod: str, port: int) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(PROTOCOL,), compress=False, max_msg_size=0)
        await socket.prepare(request)
        for channel in (0, 1):
            await socket.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
        target = self.ports.get(pod, 0) if port == 8080 else 0
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            text = (
                f"error forwarding port {port} to pod {pod}, uid : failed to connect to localhost"
            )
            await socket.send_bytes(b"\x01" + text.encode())
            await socket.close(code=1000)
            return socket
        assert request.transport is not None
        assert isinstance(request.transport, asyncio.Transport)
        entry = Forward(pod, socket, request.transport)
        self.forwards.append(entry)
        back = self._loop.create_task(_to_client(reader, socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY and message.data[:1] == b"\x00":
                    writer.write(message.data[1:])
                    await writer.drain()
        except OSError:
            pass
        finally:
            self.forwards.remove(entry)
            back.cancel()
            writer.close()
        return socket


async def _to_client(reader: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        while data := await reader.read(32_768):
            await socket.send_bytes(b"\x00" + data)
        await socket.close(code=1000)


async def _event(response: web.StreamResponse, event: str, made: dict[str, Any]) -> None:
    line = json.dumps({"type": event, "object": made}) + "\n"
    await response.write(line.encode())


def _status(code: int, message: str, reason: str) -> web.Response:
    body = {
        "kind": "Status",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return web.json_response(body, status=code)


def _selected(selector: str, namespace: str) -> Callable[[dict[str, Any]], bool]:
    wanted = dict(part.split("=", 1) for part in selector.split(",") if part)
    if any(not key for key in wanted):
        raise ValueError("found '=', expected: !, identifier, or 'end of string'")

    def fits(made: dict[str, Any]) -> bool:
        meta = made["metadata"]
        labels = meta.get("labels", {})
        inside = not namespace or meta.get("namespace", "") == namespace
        return inside and all(labels.get(key) == value for key, value in wanted.items())

    return fits


def _bury(loop: asyncio.AbstractEventLoop) -> None:
    """Close what a closed loop left open all the same.

    Seen on busy machines alone: a connection that came while the server went.
    """
    for one in gc.get_objects():
        if isinstance(one, asyncio.Transport) and getattr(one, "_loop", None) is loop:
            left = vars(one)
            if left.get("_sock") is not None:
                left["_sock"].close()
                left["_sock"] = None
            if "_closed" in left:
                left["_closed"] = True


@contextlib.contextmanager
def api_server(folder: Path, **options: Any) -> Iterator[FakeApiServer]:
    """Run the double."""
    server = FakeApiServer(folder, **options)
    try:
        yield server
    finally:
        server.close()
