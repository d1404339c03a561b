"""The session view: the screen operators live in. One file per region, each with its own ids.

Layouts hold the persistent parts; what moves is written by `assets/30-session-text.js` …
`54-session-values.js` over the REST interface and the page's socket. Rows never pass through a Dash
property: at 5,000 events a second that loses frames, and a callback would cost a round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dash import Dash, html
from dash.development.base_component import Component

from igdash.ui.markup import aria, data
from igdash.ui.session import (
    drawer,
    fields,
    filterbar,
    grid,
    header,
    histogram,
    info,
    records,
    ticks,
)

if TYPE_CHECKING:
    from igdash.services.web import WebServices

ROOT = "session-root"
PROBLEM = "session-problem"
SPLIT = "session-split"


def layout(services: WebServices) -> Component:  # noqa: ARG001
    """Return the view, empty: the address says which session fills it."""
    return html.Div(
        [
            header.layout(),
            header.tabs(),
            _panel(
                "events",
                "Events",
                [
                    filterbar.layout(grid.tools()),
                    histogram.layout(),
                    ticks.layout(),
                    grid.notices(),
                    html.Div(
                        [fields.layout(), grid.layout(), drawer.layout()],
                        id=SPLIT,
                        className="s-split",
                    ),
                    grid.status(),
                ],
            ),
            _panel("losses", "Losses", records.losses()),
            _panel("log", "Log", records.log()),
            _panel("info", "Info", info.layout()),
            html.Div(id=PROBLEM, className="empty", role="alert", hidden=True),
        ],
        id=ROOT,
        className="s-root s-loading",
        **data(tab="events"),
    )


def register(app: Dash, services: WebServices) -> None:
    """Add the view's callbacks: none, see the module's reason."""


def _panel(name: str, label: str, content: Component | Sequence[Component]) -> Component:
    return html.Div(
        content,
        className=f"s-panel s-panel-{name}",
        role="tabpanel",
        hidden=name != "events",
        **data(tab=name),
        **aria(label=label),
    )
