"""The panel of fields with their most frequent values, made by `assets/53-session-fields.js`."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from igdash.ui.markup import aria

FIELDS = "session-fields"


def layout() -> Component:
    """Return the closed panel."""
    return html.Aside(id=FIELDS, className="f-panel", hidden=True, **aria(label="Fields"))
