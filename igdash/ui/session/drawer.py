"""The whole of one event beside the grid, filled by `assets/36-session-drawer.js`."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from igdash.ui.markup import aria

DRAWER = "session-drawer"


def layout() -> Component:
    """Return the closed drawer."""
    return html.Aside(id=DRAWER, className="s-drawer", hidden=True, **aria(label="Event"))
