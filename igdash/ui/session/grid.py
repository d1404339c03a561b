"""The event grid and what stands around it: follow button, column menu, notices, the line below.

One AG Grid for the life of the page. `assets/35-session-grid.js` gives it a datasource of its own;
Dash never sees a row.
"""

from __future__ import annotations

from enum import StrEnum

import dash_ag_grid as dag
from dash import html
from dash.development.base_component import Component

from igdash.ui.markup import aria, icon

ROW_HEIGHT = 28
"""Pixels; the mock's `--row`."""
BLOCK = 100
"""Rows the grid asks for at once; `BLOCK` of the script is the same number."""
BLOCKS_KEPT = 12


class Ids(StrEnum):
    """Ids of the grid's surroundings; scripts and tests use the same names."""

    GRID = "session-grid"
    CHIP = "session-chip"
    EMPTY = "session-empty"
    FOLLOW = "session-follow"
    WHEN = "session-when"
    COLUMNS = "session-columns"
    COLUMNS_COUNT = "session-columns-count"
    STRIP = "session-strip"
    TROUBLE = "session-trouble"
    ROWS = "session-rows"
    NEWEST = "session-newest"
    ANSWERED = "session-answered"
    MODE = "session-mode"


_OPTIONS = {
    "rowHeight": ROW_HEIGHT,
    "headerHeight": 30,
    "cacheBlockSize": BLOCK,
    "maxBlocksInCache": BLOCKS_KEPT,
    "maxConcurrentDatasourceRequests": 2,
    "infiniteInitialRowCount": 1,
    "rowBuffer": 8,
    "animateRows": False,
    "suppressCellFocus": True,
    "suppressColumnMoveAnimation": True,
    "suppressDragLeaveHidesColumns": True,
    "suppressNoRowsOverlay": True,
    "suppressScrollOnNewData": True,
    "enableBrowserTooltips": True,
    "enableCellTextSelection": True,
}


def layout() -> Component:
    """Return the grid with the chip of new events and the empty state over it."""
    return html.Div(
        [
            dag.AgGrid(
                id=Ids.GRID,
                rowModelType="infinite",
                columnDefs=[],
                defaultColDef={"suppressMovable": False, "resizable": True},
                dashGridOptions=_OPTIONS,
                style={"height": "100%", "width": "100%"},
            ),
            html.Div(
                [html.Div(className="sk") for _ in range(12)],
                className="s-skeleton",
                **aria(hidden=True),
            ),
            html.Button(
                [icon("arrow-up"), html.Span("0 new events")],
                id=Ids.CHIP,
                className="s-chip",
                type="button",
                hidden=True,
            ),
            html.Div(id=Ids.EMPTY, className="empty s-empty", hidden=True),
        ],
        className="s-grid",
    )


def tools() -> Component:
    """Return the column menu's and the follow button."""
    return html.Div(
        [
            html.Button(
                icon("clock"),
                id=Ids.WHEN,
                className="btn icon",
                type="button",
                title="Jump to a time (g t)",
                **aria(label="Jump to a time"),
            ),
            html.Button(
                [icon("columns"), "Columns ", html.Span(id=Ids.COLUMNS_COUNT, className="muted")],
                id=Ids.COLUMNS,
                className="btn",
                type="button",
            ),
            html.Button(
                [html.Span(className="s-pulse"), html.Span("Following", className="s-follow-text")],
                id=Ids.FOLLOW,
                className="btn toggle",
                type="button",
                hidden=True,
            ),
        ],
        className="s-tools",
    )


def notices() -> Component:
    """Return the strip of the newest loss and the line for what could not be read."""
    return html.Div(
        [
            html.Div(id=Ids.STRIP, className="s-strip", role="status", hidden=True),
            html.Div(id=Ids.TROUBLE, className="banner err", role="alert", hidden=True),
        ]
    )


def status() -> Component:
    """Return the line below the grid."""
    return html.Div(
        [
            html.Span(id=Ids.ROWS),
            html.Span(id=Ids.NEWEST),
            html.Span(id=Ids.ANSWERED, className="s-right"),
            html.Span(id=Ids.MODE),
        ],
        className="status s-status",
    )
