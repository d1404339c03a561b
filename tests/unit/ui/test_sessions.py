"""The sessions table's place on the page, and what its scripts take for granted of the API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from igdash.domain.queries import MAX_LIMIT, SessionSort
from igdash.domain.sessions import SessionState
from igdash.services.web import WebServices
from igdash.ui import sessions

ASSETS = Path(sessions.__file__).parent / "assets"


def text(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def test_the_root_is_what_the_scripts_look_for() -> None:
    layout = sessions.layout(cast("WebServices", None))
    assert layout.to_plotly_json()["props"]["id"] == sessions.ROOT
    assert f"getElementById('{sessions.ROOT}')" in text("45-sessions.js")


def test_every_column_sorts_by_something_the_api_can() -> None:
    sorts = re.findall(r"sort: '(\w+)'", text("41-sessions-row.js"))
    assert len(sorts) >= 8
    assert set(sorts) <= {sort.value for sort in SessionSort}


def test_the_chips_cover_every_state_once() -> None:
    groups = re.findall(r"states: \[(.*?)\]", text("43-sessions-query.js"))
    states = [state for group in groups for state in re.findall(r"'(\w+)'", group)]
    assert sorted(states) == sorted(state.value for state in SessionState)


def test_a_page_is_never_larger_than_the_api_gives() -> None:
    most = re.search(r"const MOST = (\d+);", text("43-sessions-query.js"))
    assert most is not None
    assert int(most[1]) <= MAX_LIMIT
