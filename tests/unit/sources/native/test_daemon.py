"""What a daemon is shown to be able to do."""

from __future__ import annotations

import asyncio

import pytest

from igdash.sources.native import daemon
from igdash.sources.native.client import GrpcClient, GrpcFailure
from igdash.sources.native.http2 import Status
from igdash.sources.native.instances import LIST
from igdash_wire import ig_pb2 as pb


@pytest.mark.parametrize(
    ("listing", "headless"), [("answers", True), ("slow", True), ("no", False)]
)
def test_a_daemon_slow_to_list_its_instances_is_not_down(
    listing: str, headless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unary(method: str, _request: bytes, *, timeout: float) -> bytes:
        if method != LIST:
            return pb.InfoResponse(serverVersion="v1").SerializeToString()
        if listing == "no":
            raise GrpcFailure(Status(12, "unknown service"))
        if listing == "slow":
            await asyncio.sleep(min(timeout, 1))
            raise TimeoutError
        return b""

    async def closed() -> None: ...

    async def connect() -> GrpcClient:
        client = GrpcClient("host")
        monkeypatch.setattr(client, "unary", unary)
        monkeypatch.setattr(client, "aclose", closed)
        return client

    monkeypatch.setattr(daemon, "STATUS_SECONDS", 0.05)
    assert asyncio.run(daemon.ask_abilities(connect)) == ("v1", headless)
