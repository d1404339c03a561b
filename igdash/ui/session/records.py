"""Losses, log and malformed lines: written by `assets/38-session-records.js` as text only."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

LOSSES = "session-losses"
LOG = "session-log"


def losses() -> Component:
    """Return the place of the loss table."""
    return html.Div(id=LOSSES, className="s-page")


def log() -> Component:
    """Return the place of the log and of the lines that were no events."""
    return html.Div(id=LOG, className="s-page")
