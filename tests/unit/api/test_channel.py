"""Frames made by hand are what a WebSocket peer reads."""

from __future__ import annotations

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from igdash.api.channel import text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_a_peer_reads_the_frame(size: int) -> None:
    payload = ("é" * (size // 2) + "x" * (size % 2)).encode()
    peer = Connection(ConnectionType.CLIENT)
    peer.receive_data(text_frame(payload))
    events = list(peer.events())
    assert all(isinstance(event, TextMessage) for event in events)
    assert "".join(event.data for event in events).encode() == payload
    assert events[-1].message_finished
