"""The session view's layout: every part its scripts write into is there, once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from dash.development.base_component import Component

from igdash.ui import session
from igdash.ui.session import filterbar, grid, header

ASSETS = Path(session.__file__).parents[1] / "assets"
SCRIPTS = sorted(ASSETS.glob("[35][0-9]-session*.js"))


def parts() -> list[Any]:
    root = session.layout(cast(Any, None))
    return [root, *(part for part in root._traverse() if isinstance(part, Component))]


def ids() -> list[str]:
    return [part.id for part in parts() if isinstance(getattr(part, "id", None), str)]


def test_ids_are_there_once() -> None:
    found = ids()
    assert len(found) == len(set(found))
    assert {*header.Ids, *grid.Ids, *filterbar.Ids} <= set(found)


def test_scripts_write_only_into_parts_that_are_there() -> None:
    made_by_scripts = {"session-stop", "session-again", "session-export", "session-more"}
    wanted = set()
    for script in SCRIPTS:
        wanted |= set(re.findall(r"ig\.\$\('(session-[a-z-]+)'\)", script.read_text()))
    assert len(wanted) > 20
    assert wanted <= set(ids()) | made_by_scripts


def test_grid_and_script_agree_on_the_block() -> None:
    script = (ASSETS / "35-session-grid.js").read_text()
    assert f"BLOCK = {grid.BLOCK}," in script


def test_scripts_write_text_never_markup() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    )
    assert [s.name for s in SCRIPTS if forbidden.search(s.read_text())] == []


def test_each_tab_has_its_panel() -> None:
    panels = [p for p in parts() if getattr(p, "role", None) == "tabpanel"]
    assert [getattr(p, "data-tab") for p in panels] == [name for name, _ in header.TABS]
    assert [bool(p.hidden) for p in panels] == [False, True, True, True]
