"""A client that has left is noticed; one that waits, or has already asked again, is there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from igdash.api.gone import client_gone


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _asked(environ: dict[str, Any]) -> Callable[[], bool]:
    with Flask("x").test_request_context("/", environ_overrides=environ):
        return client_gone()


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_client_that_closes_is_gone(pair: tuple[socket.socket, socket.socket], key: str) -> None:
    ours, theirs = pair
    ours.settimeout(5)
    gone = _asked({key: ours})
    assert not gone()
    theirs.close()
    assert gone()


def test_waiting_bytes_are_the_next_request_and_stay(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    gone = _asked({"werkzeug.socket": ours})
    theirs.sendall(b"GET /")
    assert not gone()
    assert not gone()
    assert ours.recv(9) == b"GET /"


def test_a_socket_of_ours_that_is_closed_counts_as_gone(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, _ = pair
    gone = _asked({"werkzeug.socket": ours})
    ours.close()
    assert gone()


def test_without_a_socket_the_client_is_there() -> None:
    assert not _asked({})()
    assert not _asked({"werkzeug.socket": "no socket"})()
