"""The way back through the ticks of an array gadget, made by `assets/37-session-ticks.js`."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from igdash.ui.markup import aria

TICKS = "session-ticks"


def layout() -> Component:
    """Return the hidden slider's place; only gadgets that deliver tables show it."""
    return html.Div(
        id=TICKS, className="s-ticks", role="group", hidden=True, **aria(label="Time of the table")
    )
