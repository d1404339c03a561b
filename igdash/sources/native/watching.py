"""A set of the cluster's objects that follows the server: list, then watch from there, for ever.

What was seen on a real API server (confirmed.md 28) decides the rules: a watch from an old version
answers 200 and then one ERROR event with code 410; a list page that took too long answers 410; 504
"Too large resource version" comes in normal operation; when the server dies, the body just ends.
All of these mean: list again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import msgspec

from igdash.domain.errors import SourceError
from igdash.domain.times import NS, now_ns
from igdash.sources.native.apiserver import ApiServer, Denied, Gone, Right
from igdash.sources.native.runs import Backoff

log = logging.getLogger(__name__)

PAGE: Final = 500
"""Objects per list request."""
WATCH_SECONDS: Final = 290
"""The server is asked to end a watch after this long."""
SILENCE: Final = 90.0
"""Seconds without a byte after which a watch is begun anew. Bookmarks come every minute, so that a
path that swallows everything is not waited for for ever."""
PROVEN: Final = 5.0
"""Seconds after which a watch counts as one that works."""
MOST_WAIT: Final = 10.0
"""Longest time between two attempts, seconds: one small request, and the sessions wait for it."""


class Meta(msgspec.Struct, rename="camel", frozen=True):
    """An object's metadata, as far as it is needed."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None


class Container(msgspec.Struct, frozen=True):
    """A container of a pod's spec."""

    name: str = ""


class Spec(msgspec.Struct, rename="camel", frozen=True):
    """Where a pod runs and what is in it (null in a bookmark)."""

    node_name: str = ""
    containers: tuple[Container, ...] | None = None


class ContainerStatus(msgspec.Struct, rename="camel", frozen=True):
    """How a container does."""

    image: str = ""
    restart_count: int = 0
    started: bool | None = None
    ready: bool = False


class Status(msgspec.Struct, rename="camel", frozen=True):
    """How a pod does."""

    phase: str = ""
    container_statuses: tuple[ContainerStatus, ...] | None = None


class Item(msgspec.Struct, frozen=True):
    """A pod or a namespace: one shape for the parts that igdash reads."""

    metadata: Meta = Meta()
    spec: Spec = Spec()
    status: Status = Status()


class _ListMeta(msgspec.Struct, rename={"resource_version": "resourceVersion", "more": "continue"}):
    resource_version: str = ""
    more: str = ""


class _Listing(msgspec.Struct):
    metadata: _ListMeta
    items: list[Item] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


_listing: Final = msgspec.json.Decoder(_Listing)
_event: Final = msgspec.json.Decoder(_Event)
_item: Final = msgspec.json.Decoder(Item)
_error: Final = msgspec.json.Decoder(_Error)

Key = tuple[str, str]
"""Namespace and name."""


class Watch:
    """One kind of object, in one namespace or all. Lives on the loop.

    `items` are the objects as known; `trouble` says why they may be out of date (empty = they are
    current); `denied` is the right that is missing, if that is why. Without the right to watch they
    are listed again and again, which is no trouble: `items` are `MOST_WAIT` s old at most. `changed`
    is called after every change of either.
    """

    def __init__(
        self,
        server: ApiServer,
        resource: str,
        *,
        namespace: str = "",
        selector: str = "",
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.items: dict[Key, Item] = {}
        self.trouble = "not asked yet"
        self.denied: Right | None = None
        self._unwatched: Right | None = None
        self.next_try: int | None = None
        self.answered = asyncio.Event()
        self.requests = 0
        self._server = server
        self._resource = resource
        self._namespace = namespace
        self._selector = {"labelSelector": selector} if selector else {}
        self._changed = changed
        inside = f"namespaces/{namespace}/" if namespace else ""
        self._path = f"/api/v1/{inside}{resource}"
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def begin(self) -> None:
        """Start, once."""
        if self._task is None or self._task.done():
            name = f"watch-{self._resource}"
            self._task = asyncio.get_running_loop().create_task(self._work(), name=name)

    def hurry(self) -> None:
        """Try again now, if it waits."""
        self._wake.set()

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    # -- the loop

    async def _work(self) -> None:
        backoff = Backoff(most=MOST_WAIT)
        while True:
            try:
                version = await self._list()
                self._say("", self._unwatched)
                while True:
                    version = await self._follow(version, backoff)
            except Gone:
                log.info("watching %s: list again", self._path)
            except Denied as error:
                self._unwatched = error.right if error.right.verb == "watch" else None
                self._say("" if self._unwatched else str(error), error.right)
            except (SourceError, msgspec.DecodeError) as error:
                self._say(str(error))
            except Exception as error:
                log.exception("watching %s failed", self._path)
                self._say(f"igdash itself failed: {error}")
            await self._pause(backoff)

    async def _pause(self, backoff: Backoff) -> None:
        wait = backoff.next()
        self.next_try = now_ns() + int(wait * NS)
        self._wake.clear()
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            self.next_try = None

    async def _list(self) -> str:
        """Take the objects as they are now; return the version to watch from."""
        right = Right(verb="list", resource=self._resource, namespace=self._namespace)
        items: dict[Key, Item] = {}
        query = self._selector | {"limit": str(PAGE)}
        while True:
            self.requests += 1
            page = _listing.decode(await self._server.get(self._path, right, query))
            for item in page.items or ():
                items[item.metadata.namespace, item.metadata.name] = item
            if not page.metadata.more:
                break
            query["continue"] = page.metadata.more
        self.items = items
        return page.metadata.resource_version

    async def _follow(self, version: str, backoff: Backoff) -> str:
        """Watch until the server ends it; return the version to go on from."""
        right = Right(verb="watch", resource=self._resource, namespace=self._namespace)
        query = self._selector | {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.requests += 1
        try:
            lines = self._server.lines(self._path, right, query, silence=SILENCE)
            async with aclosing(lines):
                async for line in lines:
                    if line:
                        version = self._take(line)
                        backoff.reset()
        except SourceError as error:
            if not isinstance(error.__cause__, TimeoutError) or loop.time() - began < SILENCE:
                raise
        if loop.time() - began > PROVEN:
            backoff.reset()
        else:
            await self._pause(backoff)
        return version

    def _take(self, line: bytes) -> str:
        event = _event.decode(line)
        if event.type == "ERROR":
            error = _error.decode(event.object)
            if error.code == 410:
                raise Gone(error.message)
            raise SourceError(f"the watch of {self._resource} failed: {error.message}")
        item = _item.decode(event.object)
        key = item.metadata.namespace, item.metadata.name
        if event.type == "DELETED":
            self.items.pop(key, None)
        elif event.type != "BOOKMARK":
            self.items[key] = item
        if event.type != "BOOKMARK" or self._unwatched:
            self._unwatched = None
            self._say("")
        return item.metadata.resource_version

    def _say(self, trouble: str, denied: Right | None = None) -> None:
        self.trouble, self.denied = trouble, denied
        self.answered.set()
        self._changed()
