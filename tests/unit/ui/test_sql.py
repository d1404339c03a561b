"""The SQL page: its scripts know its ids, its editor is loaded when it is needed and not before."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from dash import html

import igdash.ui
from igdash.ui import sql

ASSETS = Path(igdash.ui.__file__).parent / "assets"


def test_scripts_use_the_same_ids() -> None:
    scripts = "".join(path.read_text() for path in sorted(ASSETS.glob("6*-sql*.js")))
    for id_ in sql.Ids:
        assert f'node("{id_.removeprefix("sql-")}")' in scripts, id_


def test_the_editor_is_there_and_not_on_every_page() -> None:
    page = sql.layout(cast(Any, SimpleNamespace()))
    address = page.to_plotly_json()["props"]["data-editor"]
    path = ASSETS / address.removeprefix("/assets/").partition("?")[0]
    assert path.stat().st_size > 100_000
    assert re.match(sql.LAZY, path.name)
    assert "eval(" not in path.read_text(encoding="utf-8").replace("medieval(", "")
    assert (path.parent / "codemirror-LICENSE.txt").read_text().startswith("MIT License")


def test_buttons_are_buttons() -> None:
    page = sql.layout(cast(Any, SimpleNamespace()))
    for part in page._traverse():
        if isinstance(part, html.Button):
            assert part.to_plotly_json()["props"]["type"] == "button"
