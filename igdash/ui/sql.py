"""The SQL page's place: an editor, what can be asked, and the answer.

Filled by `assets/61-sql-…js` to `66-sql.js` from the REST interface. The editor is CodeMirror, built
once into `assets/0-vendor/codemirror.lazy.js` (`scripts/editor`) and loaded when the page is first
shown, not with every page.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from dash import Dash, html
from dash.development.base_component import Component

from igdash.ui.markup import aria, data, icon

if TYPE_CHECKING:
    from igdash.services.web import WebServices

LAZY = r".*\.lazy\.js"
"""Names of scripts that pages load by themselves."""
_EDITOR = "0-vendor/codemirror.lazy.js"


class Ids(StrEnum):
    """Ids of the page; scripts and tests use the same names."""

    ROOT = "sql-root"
    FACTS = "sql-facts"
    SIDE = "sql-side"
    EDITOR = "sql-editor"
    NOTE = "sql-note"
    RESULT = "sql-result"
    RUN = "sql-run"
    CANCEL = "sql-cancel"
    EXPLAIN = "sql-explain"
    SAVE = "sql-save"
    SHARE = "sql-share"
    SCHEMA = "sql-schema"


def layout(services: WebServices) -> Component:  # noqa: ARG001
    """Return the page; it says where its editor's script is."""
    return html.Div(
        [
            _head(),
            html.Div(
                [
                    html.Aside(
                        html.Div(className="sk", style={"width": "60%", "margin": "14px"}),
                        id=Ids.SIDE,
                        className="sqlp-side",
                        **aria(label="Views, history and saved queries"),
                    ),
                    html.Div(
                        [
                            html.Div(id=Ids.EDITOR, className="sqlp-editor"),
                            html.Div(id=Ids.NOTE, className="sqlp-note", role="status"),
                            html.Div(id=Ids.RESULT, className="sqlp-result"),
                        ],
                        className="sqlp-work",
                    ),
                ],
                className="sqlp-body",
            ),
        ],
        id=Ids.ROOT,
        className="sqlp",
        **data(editor=_editor_address()),
    )


def register(app: Dash, services: WebServices) -> None:
    """Add the page's callbacks; it has none, its scripts talk to the REST interface."""


def _head() -> Component:
    return html.Div(
        [
            html.Div([html.H1("SQL"), html.Div("…", id=Ids.FACTS, className="muted")]),
            html.Div(className="sp"),
            _button(Ids.SCHEMA, "columns", "Views", "btn sqlp-narrow"),
            _button(Ids.SHARE, "link", "Link", "btn"),
            _button(Ids.SAVE, "plus", "Save", "btn"),
            _button(Ids.EXPLAIN, "info", "Explain", "btn"),
            _button(Ids.CANCEL, "stop", "Cancel", "btn danger", hidden=True),
            html.Button(
                [icon("play"), "Run", html.Kbd("Ctrl ⏎")],
                id=Ids.RUN,
                className="btn primary",
                type="button",
            ),
        ],
        className="head sqlp-head",
    )


def _button(which: Ids, sign: str, text: str, css: str, *, hidden: bool | None = None) -> Component:
    return html.Button(
        [icon(sign), text],
        id=which,
        className=css,
        type="button",
        hidden=hidden,
        **aria(label=text),
    )


def _editor_address() -> str:
    path = Path(__file__).parent / "assets" / _EDITOR
    return f"/assets/{_EDITOR}?m={int(path.stat().st_mtime)}"
