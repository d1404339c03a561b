"""Metrics: labels stay few, whatever is stored."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.web import web


def test_series_do_not_grow_with_sessions(tmp_path: Path) -> None:
    with web(f"sqlite:///{tmp_path}/store.db") as side:
        for n in range(40):
            side.session(name=f"name-{n}")
        text = side.app.test_client().get("/metrics").data.decode()
        samples = [line for line in text.splitlines() if not line.startswith("#")]
        assert 'igdash_sessions{gadget="trace_tcp",state="running"} 40' in samples
        assert "igdash_collector_up 1" in samples
        assert len(samples) < 40
        assert all(re.fullmatch(r"[a-z_]+(\{[^{}]*\})? -?[0-9.e+-]+", line) for line in samples)
        assert set(re.findall(r"(\w+)=\"", text)) <= {"gadget", "state", "version"}
        side.control.down = True
