"""Who the session is, its counters, what can be done with it, and the tabs below.

`assets/33-session-header.js` writes into these parts; see there for the states.
"""

from __future__ import annotations

from enum import StrEnum

from dash import html
from dash.development.base_component import Component

from igdash.ui.markup import aria, data


class Ids(StrEnum):
    """Ids of the header; scripts and tests use the same names."""

    DOT = "session-dot"
    TITLE = "session-title"
    TARGET = "session-target"
    STATE = "session-state"
    SUB = "session-sub"
    STATS = "session-stats"
    ACTIONS = "session-actions"
    BANNER = "session-banner"
    TABS = "session-tabs"


TABS = (("events", "Events"), ("losses", "Losses"), ("log", "Log"), ("info", "Info"))
"""Tabs as (name in the address, label)."""


def layout() -> Component:
    """Return the header with the banner under it that says why a session ended."""
    who = html.Div(
        [
            html.H1(
                [
                    html.Span("Session", id=Ids.TITLE),
                    html.Span(id=Ids.TARGET, className="muted s-target"),
                ]
            ),
            html.Div(id=Ids.SUB, className="faint mono s-sub"),
            html.Span(id=Ids.STATE, className="sr-only", role="status"),
        ],
        className="s-who",
    )
    return html.Div(
        [
            html.Div(
                [
                    html.Span(id=Ids.DOT, className="dot wait"),
                    who,
                    html.Div(id=Ids.STATS, className="s-stats"),
                    html.Div(id=Ids.ACTIONS, className="s-actions"),
                ],
                className="head s-head",
            ),
            html.Div(id=Ids.BANNER, className="banner", role="status", hidden=True),
        ]
    )


def tabs() -> Component:
    """Return the tabs, each with room for a count."""
    return html.Div(
        [_tab(name, label) for name, label in TABS],
        id=Ids.TABS,
        className="tabs",
        role="tablist",
        **aria(label="Parts of the session"),
    )


def _tab(name: str, label: str) -> Component:
    selected = name == TABS[0][0]
    return html.Button(
        [label, html.Span(className="pill", hidden=True)],
        type="button",
        role="tab",
        tabIndex=0 if selected else -1,
        **data(tab=name),
        **aria(selected=selected),
    )
