"""`igdash demo` as a visitor runs it: sessions of many gadgets at once, and the same ones again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import Serving
from tests.support.waiting import wait_until


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Serving]:
    found = Serving(tmp_path)
    try:
        yield found
    finally:
        found.close()


def start(visitor: Serving) -> None:
    visitor.start("demo", str(visitor.folder), "--port", str(visitor.port))


def sessions(visitor: Serving) -> list[dict[str, Any]]:
    found = json.loads(visitor.igdash("sessions", "-o", "json"))["sessions"]
    assert isinstance(found, list)
    return found


def test_a_first_call_starts_sessions_and_a_second_resumes_them(visitor: Serving):
    visitor.config.unlink()
    start(visitor)
    wait_until(lambda: len(sessions(visitor)) == 10, timeout=20, every=0.3)
    wait_until(
        lambda: len({s["gadget"] for s in sessions(visitor) if s["events"] > 0}) >= 8,
        timeout=20,
        every=0.5,
    )
    assert visitor.stop() == 0
    first = {s["id"]: s for s in sessions(visitor)}
    start(visitor)
    wait_until(
        lambda: sum(s["events"] > first[s["id"]]["events"] for s in sessions(visitor)) >= 5,
        timeout=20,
        every=0.5,
    )
    assert {s["id"] for s in sessions(visitor)} == set(first)
    assert visitor.stop() == 0
