"""The filter bar: what is asked of the history, as chips and a field, in one row with the tools.

`assets/52-session-filterbar.js` fills it; the field itself is `51-session-filter-input.js`.
"""

from __future__ import annotations

from enum import StrEnum

from dash import html
from dash.development.base_component import Component

from igdash.ui.markup import aria, icon


class Ids(StrEnum):
    """Ids of the bar; scripts and tests use the same names."""

    BAR = "session-filterbar"
    PANEL = "session-fields-toggle"
    BOX = "session-filter-box"
    KEPT = "session-filter-kept"
    RANGE = "session-range"


def layout(tools: Component) -> Component:
    """Return the bar, `tools` at its end."""
    return html.Div(
        [
            html.Button(
                icon("panel"),
                id=Ids.PANEL,
                className="btn icon",
                type="button",
                title="Fields and their values",
                **aria(label="Fields", expanded="false", controls="session-fields"),
            ),
            html.Div(id=Ids.BOX, className="q f-box", role="group", **aria(label="Filter")),
            html.Button(
                icon("bookmark"),
                id=Ids.KEPT,
                className="btn icon",
                type="button",
                title="Recent and saved filters",
                **aria(label="Recent and saved filters"),
            ),
            html.Span(id=Ids.RANGE, className="f-range", hidden=True),
            tools,
        ],
        id=Ids.BAR,
        className="bar f-bar",
    )
