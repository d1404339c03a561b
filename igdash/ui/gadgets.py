"""The catalogue page: every gadget as a card, by category, with how many sessions of it run.

The cards are laid out here once; search, filter, counts, what an environment offers and where a click
goes are `assets/23-gadgets.js` (0 running → start form, 1 → that session, more → the picker).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from dash import Dash, html
from dash.development.base_component import Component

from igdash.domain.gadgets import Category, Gadget
from igdash.ui.looks import by_use, look
from igdash.ui.markup import aria, data, icon

if TYPE_CHECKING:
    from igdash.services.web import WebServices


class Ids(StrEnum):
    """Ids of the catalogue page; scripts and tests use the same names."""

    SEARCH = "gadgets-search"
    CHIPS = "gadgets-chips"
    CARDS = "gadgets-cards"
    RUNNING = "gadgets-running"
    EMPTY = "gadgets-empty"
    SHOWN = "gadgets-shown"


CATEGORY_TITLES = {
    Category.TRACE: "Trace",
    Category.TOP: "Top",
    Category.SNAPSHOT: "Snapshot",
    Category.PROFILE: "Profile",
    Category.ADVISE: "Advise",
    Category.PACKETS: "Packets",
}


def layout(services: WebServices) -> Component:
    """Return the page with the whole catalogue."""
    catalogue = by_use(services.gadgets.all())
    return html.Div(
        [
            html.Div(
                [
                    html.Div(
                        [
                            html.H1("Gadgets"),
                            html.Div(
                                "Pick a gadget to see its running sessions or to start a new one.",
                                className="muted",
                            ),
                        ]
                    ),
                    html.Div(className="sp"),
                    html.A(id=Ids.RUNNING, href="/sessions?state=running", className="pill"),
                ],
                className="head",
            ),
            html.Div([_search(len(catalogue)), _chips(catalogue)], className="bar gadgets-bar"),
            html.Div(
                [
                    html.Div(
                        [_card(gadget) for gadget in catalogue], id=Ids.CARDS, className="cards"
                    ),
                    html.Div(id=Ids.EMPTY, className="empty", hidden=True),
                ],
                className="gadgets-scroll",
            ),
        ],
        className="gadgets",
    )


def register(app: Dash, services: WebServices) -> None:
    """Add the page's callbacks; it has none, its script talks to the REST interface."""


def _search(count: int) -> Component:
    return html.Label(
        [
            icon("search"),
            html.Span("Search gadgets", className="sr-only"),
            html.Span(
                id=Ids.SEARCH,
                className="gadgets-input",
                **data(placeholder=f"Search {count} gadgets: tcp, dns, files, latency …"),
            ),
            html.Span(id=Ids.SHOWN, className="faint mono", **aria(live="polite")),
            html.Kbd("/"),
        ],
        className="q",
    )


def _chips(catalogue: Sequence[Gadget]) -> Component:
    present = [c for c in Category if any(g.category is c for g in catalogue)]
    names = [("", "All"), *((c.value, CATEGORY_TITLES[c]) for c in present)]
    return html.Div(
        [
            html.Button(
                title,
                type="button",
                className="btn s toggle",
                **aria(pressed="false" if value else "true"),
                **data(category=value),
            )
            for value, title in names
        ],
        id=Ids.CHIPS,
        className="gadgets-chips",
        role="group",
        **aria(label="Category"),
    )


def _card(gadget: Gadget) -> Component:
    its = look(gadget)
    return html.A(
        [
            html.Div(
                [
                    html.Span(
                        its.letters,
                        className="ico",
                        style={"--k": f"var({its.color})"},
                        **aria(hidden="true"),
                    ),
                    html.Span(
                        [
                            html.Span(gadget.title, className="ell"),
                            html.Span(gadget.name, className="faint mono ell"),
                        ],
                        className="card-name",
                    ),
                    html.Span(className="card-count"),
                ],
                className="ct",
            ),
            html.P(gadget.description),
            html.Span(className="card-why"),
        ],
        href=f"/start/{gadget.name}",
        className="card",
        **data(gadget=gadget.name, category=gadget.category.value),
    )
