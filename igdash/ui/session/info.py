"""The session's facts, written by `assets/39-session-info.js`."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

INFO = "session-info"


def layout() -> Component:
    """Return the place of the facts."""
    return html.Div(id=INFO, className="s-page")
