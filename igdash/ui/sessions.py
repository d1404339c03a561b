"""The sessions table's place on the page.

The table is made in the browser (assets/41-sessions-row.js … 45-sessions.js): counts change four
times a second in place, which neither a Dash property nor a re-rendered grid could do calmly.
Sorting, searching and paging are the REST interface's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dash import Dash, html
from dash.development.base_component import Component

if TYPE_CHECKING:
    from igdash.services.web import WebServices

ROOT = "sessions-root"
"""Id of the element the scripts fill."""


def layout(services: WebServices) -> Component:  # noqa: ARG001
    """Return the view: an empty root."""
    return html.Div(id=ROOT, className="sess")


def register(app: Dash, services: WebServices) -> None:
    """Add the view's callbacks: none, the scripts talk to the REST interface."""
