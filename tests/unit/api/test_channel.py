"""Frames made by hand are what a WebSocket peer reads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from igdash.api.channel import Channel, Closed, text_frame
from igdash.api.options import WebOptions
from igdash.domain.threads import spawn


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_a_peer_reads_the_frame(size: int) -> None:
    payload = ("é" * (size // 2) + "x" * (size % 2)).encode()
    peer = Connection(ConnectionType.CLIENT)
    peer.receive_data(text_frame(payload))
    events = list(peer.events())
    assert all(isinstance(event, TextMessage) for event in events)
    assert "".join(event.data for event in events).encode() == payload
    assert events[-1].message_finished


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel that waits a second for its reader, and the reader's end."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        reader.connect(listener.getsockname())
        ours, _ = listener.accept()
        shaken: Any = SimpleNamespace(ws=Connection(ConnectionType.SERVER), sock=ours)
        with ours:
            channel = Channel(shaken, WebOptions(send_timeout=1.0, ping_interval=0.2))
            yield channel, reader
            channel.release()


def test_a_slow_reader_is_served_at_its_own_pace(ends: tuple[Channel, socket.socket]) -> None:
    channel, reader = ends
    payload, pause, took = b"x" * 6_000_000, threading.Event(), bytearray()

    def read() -> None:
        while len(took) < len(payload):
            took.extend(reader.recv(200_000))
            pause.wait(0.06)

    thread = spawn("reader", read)
    channel.send(payload)  # takes longer than the deadline, and than two pings
    channel.wait(0)
    thread.join(10)
    assert took.count(b"x") == len(payload)


def test_a_reader_that_takes_nothing_is_given_up(ends: tuple[Channel, socket.socket]) -> None:
    with pytest.raises(Closed):
        ends[0].send(b"x" * 6_000_000)
