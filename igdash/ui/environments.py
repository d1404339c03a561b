"""The environments page's place: where gadgets can run, how each is doing, what is missing there.

Filled by `assets/50-environments.js` from the REST interface: health changes while one looks.
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

    SUMMARY = "envs-summary"
    LIST = "envs-list"
    REFRESH = "envs-refresh"


def layout(services: WebServices) -> Component:
    """Return the page, with a skeleton per configured environment."""
    return html.Div(
        [
            html.Div(
                [
                    html.Div(
                        [
                            html.H1("Environments"),
                            html.Div("…", id=Ids.SUMMARY, className="muted"),
                        ]
                    ),
                    html.Div(className="sp"),
                    html.Button(
                        [icon("refresh"), "Test all"],
                        id=Ids.REFRESH,
                        className="btn",
                        type="button",
                    ),
                ],
                className="head",
            ),
            html.Div(
                html.Div(
                    [_skeleton() for _ in services.environments],
                    id=Ids.LIST,
                    className="envs-list",
                    **aria(busy="true"),
                ),
                className="envs-scroll",
            ),
        ],
        className="envs",
    )


def register(app: Dash, services: WebServices) -> None:
    """Add the page's callbacks; it has none, its script talks to the REST interface."""


def _skeleton() -> Component:
    bars = [html.Div(className="sk", style={"width": width}) for width in ("30%", "55%", "80%")]
    return html.Div(bars, className="envs-card")
