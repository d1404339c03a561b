"""The frame around every view: sidebar, banner, one container per view, what scripts write into.

All containers are there from the start and stay: switching a view is showing another one, so a grid
keeps its rows and its place. `assets/20-shell.js` fills the sidebar, `assets/11-router.js` switches.
"""

from __future__ import annotations

from enum import StrEnum

from dash import html
from dash.development.base_component import Component

from igdash import __version__
from igdash.ui import sidebar
from igdash.ui.markup import aria, icon


class Ids(StrEnum):
    """Ids of the shell; scripts and tests use the same names."""

    SHELL = "shell"
    MAIN = "main"
    BANNER = "collector-banner"
    ANNOUNCE = "announce"
    TOASTS = "toasts"
    MENU = "menu-button"
    SCRIM = "scrim"
    TOPBAR_TITLE = "topbar-title"
    VIEW_GADGETS = "view-gadgets"
    VIEW_START = "view-start"
    VIEW_SESSIONS = "view-sessions"
    VIEW_SESSION = "view-session"
    VIEW_ENVIRONMENTS = "view-environments"
    VIEW_SQL = "view-sql"
    VIEW_EXPORTS = "view-exports"
    VIEW_MISSING = "view-missing"


def shell(
    *,
    gadgets: Component,
    start: Component,
    sessions: Component,
    session: Component,
    environments: Component,
    sql: Component,
    exports: Component,
) -> Component:
    """Return the layout of the whole page around its views."""
    return html.Div(
        [
            html.A("Skip to content", href="#main", className="skip"),
            _topbar(),
            sidebar.layout(__version__),
            html.Div(id=Ids.SCRIM, className="scrim"),
            html.Main(
                [
                    html.Div(id=Ids.BANNER, hidden=True, role="status"),
                    _view(Ids.VIEW_GADGETS, "Gadgets", gadgets),
                    _view(Ids.VIEW_START, "Start a session", start),
                    _view(Ids.VIEW_SESSIONS, "Sessions", sessions),
                    _view(Ids.VIEW_SESSION, "Session", session),
                    _view(Ids.VIEW_ENVIRONMENTS, "Environments", environments),
                    _view(Ids.VIEW_SQL, "SQL", sql),
                    _view(Ids.VIEW_EXPORTS, "Exports", exports),
                    _view(Ids.VIEW_MISSING, "Not found", _missing()),
                ],
                id=Ids.MAIN,
                className="main",
                tabIndex=-1,
            ),
            html.Div(id=Ids.ANNOUNCE, className="sr-only", **aria(live="polite")),
            html.Div(id=Ids.TOASTS, className="toasts"),
        ],
        id=Ids.SHELL,
        className="shell",
    )


def _view(view: Ids, label: str, content: Component) -> Component:
    return html.Section(content, id=view, className="view", **aria(label=label))


def _topbar() -> Component:
    """What a narrow screen has instead of the sidebar."""
    return html.Header(
        [
            html.Button(
                icon("menu", large=True),
                id=Ids.MENU,
                className="btn ghost icon",
                type="button",
                **aria(label="Menu", expanded="false", controls="sidebar"),
            ),
            html.A(
                [
                    html.Span(className="i i-pulse l brand-mark", **aria(hidden=True)),
                    "igdash",
                ],
                href="/gadgets",
                className="topbar-brand",
            ),
            html.Span(id=Ids.TOPBAR_TITLE, className="topbar-title ell muted"),
        ],
        className="topbar",
    )


def _missing() -> Component:
    return html.Div(
        [
            html.Span(icon("search", large=True), className="ico", style={"--k": "var(--c8)"}),
            html.H1("There is nothing at this address"),
            html.P(
                "The link may be mistyped or from another version. Your sessions are not affected:"
                " they go on collecting, and everything stored is still there."
            ),
            html.Div(
                [
                    html.A("All sessions", href="/sessions", className="btn primary"),
                    html.A("Gadgets", href="/gadgets", className="btn"),
                ],
                className="missing-actions",
            ),
        ],
        className="empty",
    )
