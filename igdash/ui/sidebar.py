"""The sidebar: where one is, what runs right now, how the collector does.

Only its frame is here. The list of running sessions, every count and every state is written by
`assets/20-shell.js` and `21-running.js` from the page's live socket.
"""

from __future__ import annotations

from enum import StrEnum

from dash import html
from dash.development.base_component import Component

from igdash.ui.markup import aria, icon


class Ids(StrEnum):
    """Ids of the sidebar; scripts and tests use the same names."""

    SIDEBAR = "sidebar"
    ENVIRONMENTS = "env-box"
    NAV_GADGETS = "nav-gadgets"
    NAV_SESSIONS = "nav-sessions"
    NAV_ENVIRONMENTS = "nav-environments"
    NAV_SQL = "nav-sql"
    NAV_EXPORTS = "nav-exports"
    RUNNING_COUNT = "running-count"
    RUNNING = "runs"
    FOOT_DOT = "foot-dot"
    FOOT_TEXT = "foot-text"
    HELP = "help-button"
    THEME = "theme-button"


def layout(version: str) -> Component:
    """Return the sidebar."""
    return html.Aside(
        [
            _brand(version),
            html.Div(_skeleton_environment(), id=Ids.ENVIRONMENTS, className="env"),
            html.Nav(
                [
                    _link(Ids.NAV_GADGETS, "/gadgets", "grid", "Gadgets"),
                    _link(Ids.NAV_SESSIONS, "/sessions", "list", "Sessions"),
                    _link(Ids.NAV_ENVIRONMENTS, "/environments", "server", "Environments"),
                    _link(Ids.NAV_SQL, "/sql", "terminal", "SQL"),
                    _link(Ids.NAV_EXPORTS, "/exports", "download", "Exports"),
                ],
                className="nav",
                **aria(label="Views"),
            ),
            html.H2(
                ["Running now", html.Span(id=Ids.RUNNING_COUNT, className="mono")], className="sec"
            ),
            html.Div(_skeleton_runs(), id=Ids.RUNNING, className="runs", **aria(busy="true")),
            _foot(),
        ],
        id=Ids.SIDEBAR,
        className="side",
        **aria(label="Running sessions and navigation"),
    )


def _brand(version: str) -> Component:
    return html.Div(
        [
            html.A(
                [
                    html.Span(className="i i-pulse l brand-mark", **aria(hidden=True)),
                    "igdash",
                ],
                href="/gadgets",
                className="brand-name",
            ),
            html.Span(version, className="faint mono"),
            html.Button(
                html.Kbd("?"),
                id=Ids.HELP,
                className="btn ghost s",
                type="button",
                title="Keys",
                **aria(label="Keys (?)"),
            ),
        ],
        className="brand",
    )


def _link(which: Ids, href: str, sign: str, text: str) -> Component:
    return html.A(
        [
            icon(sign),
            html.Span(text),
            html.Span(className="n"),
        ],
        id=which,
        href=href,
    )


def _foot() -> Component:
    return html.Div(
        [
            html.Span(id=Ids.FOOT_DOT, className="dot stop"),
            html.Span("Connecting …", id=Ids.FOOT_TEXT, className="ell"),
            html.Button(
                icon("monitor"),
                id=Ids.THEME,
                className="btn ghost icon s",
                type="button",
                **aria(label="Theme: as the system"),
            ),
        ],
        className="foot",
    )


def _skeleton_environment() -> list[Component]:
    return [html.Div(className="sk", style={"height": "14px", "width": "60%"})]


def _skeleton_runs() -> list[Component]:
    bars = [html.Div(className="sk", style={"width": width}) for width in ("58%", "80%", "100%")]
    return [html.Div(bars, className="run-sk") for _ in range(3)]
