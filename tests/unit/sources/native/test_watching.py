"""A watch over what a real API server was recorded to send, and over one that misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from igdash.domain.errors import SourceError
from igdash.sources.native import watching
from igdash.sources.native.apiserver import Denied, Gone, Right
from igdash.sources.native.cluster import pod_of
from igdash.sources.native.watching import Watch

DATA = Path(__file__).parents[3] / "data" / "kubernetes"
Answer = list[dict[str, Any]] | Exception


def recorded(name: str) -> list[dict[str, Any]]:
    lines = (DATA / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    meta = {"name": name, "namespace": "gadget", "resourceVersion": str(version)}
    return {"type": kind, "object": {"metadata": meta, "spec": {"nodeName": "w"}}}


GONE = {"type": "ERROR", "object": {"kind": "Status", "message": "too old", "code": 410}}


class Scripted:
    """An API server that answers what it is told, then keeps the last watch open."""

    def __init__(self, lists: list[Any], watches: list[Answer]) -> None:
        self.lists, self.watches = lists, watches
        self.queries: list[dict[str, str]] = []
        self.listed = 0

    async def get(self, path: str, right: Right, query: Mapping[str, str] | None = None) -> bytes:
        answer = self.lists[min(self.listed, len(self.lists) - 1)]
        self.listed += 1
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer).encode()

    async def lines(
        self, path: str, right: Right, query: Mapping[str, str], *, silence: float
    ) -> AsyncGenerator[bytes, None]:
        self.queries.append(dict(query))
        if not self.watches:
            await asyncio.Event().wait()
        answer = self.watches.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for one in answer:
            yield json.dumps(one).encode()


def listing(version: int, *names: str) -> dict[str, Any]:
    items = [event("", name, version)["object"] for name in names]
    return {"metadata": {"resourceVersion": str(version)}, "items": items}


def run(server: Scripted, check: Callable[[Watch], Coroutine[Any, Any, None]]) -> None:
    async def work() -> None:
        watch = Watch(server, "pods", namespace="gadget")  # type: ignore[arg-type]
        watch.begin()
        watch.begin()
        try:
            async with asyncio.timeout(5):
                await check(watch)
        finally:
            await watch.close()

    asyncio.run(work())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching.Backoff, "next", lambda self: 0.01)


def names(watch: Watch) -> set[str]:
    return {name for _, name in watch.items}


def test_a_rollout_as_recorded() -> None:
    rows = recorded("watch-rollout")
    seen: list[tuple[str, str, bool]] = []

    async def check(watch: Watch) -> None:
        await until(lambda: len(server.queries) == 2)
        assert names(watch) == {"gadget-5zwhs", "gadget-jd2dc"}
        pods = [pod_of(item) for item in watch.items.values()]
        assert {pod.node for pod in pods} == {"worker-1", "worker-2"}
        assert all(pod.started and not pod.ending for pod in pods)
        # A bookmark moves the version on without being a pod.
        assert server.queries[1]["resourceVersion"] == "2571"
        assert watch.trouble == ""

    server = Scripted([json.loads((DATA / "pods-gadget.json").read_text())], [rows])
    server.lists[0]["items"] = [r["object"] for r in rows[:2]]
    run(server, check)
    for row in rows:
        if row["type"] != "BOOKMARK":
            pod = pod_of(watching._item.decode(json.dumps(row["object"])))
            seen.append((pod.name, pod.phase, pod.ending))
    assert ("gadget-q5hxg", "Running", True) in seen
    assert ("gadget-5zwhs", "Pending", False) in seen


def test_a_deleted_pod_as_recorded() -> None:
    rows = recorded("watch-pod-deleted")

    async def check(watch: Watch) -> None:
        await until(lambda: len(server.queries) == 2)
        assert names(watch) == {"gadget-5sr4j"}

    server = Scripted([{"metadata": {"resourceVersion": "4701"}, "items": None}], [rows])
    run(server, check)
    assert server.queries[0]["resourceVersion"] == "4701"
    assert server.queries[0]["allowWatchBookmarks"] == "true"


@pytest.mark.parametrize("answer", [[GONE], Gone("HTTP 410")])
def test_410_both_ways_lists_again_and_is_no_trouble(answer: Answer) -> None:
    said: list[str] = []

    async def check(watch: Watch) -> None:
        watch._changed = lambda: said.append(watch.trouble)
        await until(lambda: names(watch) == {"b"} and len(said) == 2)
        assert said == ["", ""]

    run(Scripted([listing(1, "a"), listing(9, "b")], [answer]), check)


def test_a_body_that_just_ends_goes_on_from_the_last_version() -> None:
    async def check(watch: Watch) -> None:
        await until(lambda: len(server.queries) == 3)
        assert names(watch) == {"a", "b", "c"}

    ends = [[event("ADDED", "b", 5)], [event("ADDED", "c", 6)]]
    server = Scripted([listing(1, "a")], [*ends])
    run(server, check)
    assert server.listed == 1
    assert [query["resourceVersion"] for query in server.queries] == ["1", "5", "6"]


def test_504_in_normal_operation_lists_again_and_says_why_meanwhile() -> None:
    said: list[str] = []

    async def check(watch: Watch) -> None:
        watch._changed = lambda: said.append(watch.trouble)
        await until(lambda: names(watch) == {"b"} and not watch.trouble)

    refusal = SourceError("HTTP 504 Too large resource version")
    run(Scripted([listing(1, "a"), refusal, listing(9, "b")], [refusal]), check)
    assert str(refusal) in said


def test_what_cannot_be_read_lists_again() -> None:
    async def check(watch: Watch) -> None:
        await until(lambda: names(watch) == {"b"})

    junk = [{"type": 7}]
    run(Scripted([listing(1, "a"), listing(9, "b")], [junk]), check)


def test_a_missing_right_is_named() -> None:
    right = Right(verb="list", resource="pods", namespace="gadget")

    async def check(watch: Watch) -> None:
        await watch.answered.wait()
        assert watch.denied == right
        assert watch.trouble == "missing right: list pods in namespace gadget"

    run(Scripted([Denied(right)], []), check)


def test_unchanged_objects_stay_while_the_server_is_away() -> None:
    async def check(watch: Watch) -> None:
        await until(lambda: watch.trouble == "away")
        assert names(watch) == {"a"}

    gone = SourceError("away")
    run(Scripted([listing(1, "a"), gone], [gone]), check)
