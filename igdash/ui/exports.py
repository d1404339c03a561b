"""The exports page's place: exports that are made again and again, and what became of each run.

Filled by `assets/71-exports-form.js` and `72-exports.js` from the REST interface: runs begin and end
while one looks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from dash import Dash, html
from dash.development.base_component import Component

from igdash.ui.markup import aria, icon

if TYPE_CHECKING:
    from igdash.services.web import WebServices


class Ids(StrEnum):
    """Ids of the page; scripts and tests use the same names."""

    SUMMARY = "exports-summary"
    NEW = "exports-new"
    TROUBLE = "exports-trouble"
    LIST = "exports-list"


def layout(services: WebServices) -> Component:  # noqa: ARG001
    """Return the page, with a skeleton until the schedules are there."""
    return html.Div(
        [
            html.Div(
                [
                    html.Div(
                        [html.H1("Exports"), html.Div("…", id=Ids.SUMMARY, className="muted")]
                    ),
                    html.Div(className="sp"),
                    html.Button(
                        [icon("plus"), "New schedule"],
                        id=Ids.NEW,
                        className="btn primary",
                        type="button",
                    ),
                ],
                className="head",
            ),
            html.Div(
                [
                    html.Div(id=Ids.TROUBLE, className="exp-trouble", hidden=True, role="status"),
                    html.Div(_skeleton(), id=Ids.LIST, className="exp-list", **aria(busy="true")),
                ],
                className="exp-scroll",
            ),
        ],
        className="exp",
    )


def register(app: Dash, services: WebServices) -> None:
    """Add the page's callbacks; it has none, its scripts talk to the REST interface."""


def _skeleton() -> Component:
    bars = [html.Div(className="sk", style={"width": width}) for width in ("30%", "55%", "80%")]
    return html.Div(bars, className="exp-card")
