"""The frame has a container per view, each id once, and names for screen readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dash import html
from dash.development.base_component import Component

import igdash.ui
from igdash.ui import shell, sidebar

ASSETS = Path(igdash.ui.__file__).parent / "assets"


def _frame() -> Component:
    views = {
        name: html.Div(name)
        for name in ("gadgets", "start", "sessions", "session", "environments", "sql", "exports")
    }
    return shell.shell(**views)


def _all(component: Component) -> Iterator[Component]:
    yield component
    yield from (part for part in component._traverse() if isinstance(part, Component))


def test_every_id_is_there_once() -> None:
    ids = Counter(str(part.id) for part in _all(_frame()) if hasattr(part, "id"))
    assert set(ids.values()) == {1}
    assert {*shell.Ids, *sidebar.Ids} <= set(ids)


def test_buttons_have_a_type_and_a_name() -> None:
    for part in _all(_frame()):
        if isinstance(part, html.Button):
            shown = part.to_plotly_json()["props"]
            assert shown["type"] == "button"
            assert shown.get("aria-label")


def test_scripts_use_the_same_ids() -> None:
    scripts = "".join(path.read_text() for path in sorted(ASSETS.glob("*.js")))
    unused = {*shell.Ids, *sidebar.Ids} - {shell.Ids.MAIN, sidebar.Ids.SIDEBAR}
    for id_ in unused:
        word = id_.replace("view-", "")
        assert f'"{id_}"' in scripts or f'"{word}"' in scripts, id_
