"""Attributes Dash has no keyword for."""

from __future__ import annotations

from dash import html

from igdash.ui.markup import aria, data, icon


def test_attributes_are_spelled_as_html_has_them() -> None:
    assert aria(label="Menu", hidden=True) == {"aria-label": "Menu", "aria-hidden": "true"}
    assert data(first_seq="1", on=False) == {"data-first-seq": "1", "data-on": "false"}


def test_icons_are_hidden_from_screen_readers() -> None:
    shown = icon("search", large=True).to_plotly_json()["props"]
    assert shown["className"] == "i i-search l"
    assert shown["aria-hidden"] == "true"
    assert isinstance(icon("search"), html.Span)
