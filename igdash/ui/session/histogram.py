"""The session's life as bars, drawn by `assets/34-session-histogram.js`.

Plain SVG: a Plotly figure costs eight times the processor for each redraw, every second.
"""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

HISTOGRAM = "session-histogram"


def layout() -> Component:
    """Return the empty plot."""
    return html.Div(id=HISTOGRAM, className="s-hist s-wait")
