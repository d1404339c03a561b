"""Small pieces that every layout uses: icons, and attributes Dash has no keyword for."""

from __future__ import annotations

from typing import Any

from dash import html
from dash.development.base_component import Component


def aria(**values: str | bool) -> dict[str, Any]:
    """Return `aria-…` attributes for `**`: `aria(label="Menu", hidden=True)`."""
    return _prefixed("aria", values)


def data(**values: str | bool) -> dict[str, Any]:
    """Return `data-…` attributes for `**`."""
    return _prefixed("data", values)


def icon(name: str, *, large: bool = False) -> Component:
    """Return an icon of `assets/3-icons.css`, hidden from screen readers."""
    return html.Span(className=f"i i-{name}{' l' if large else ''}", **aria(hidden=True))


def _prefixed(prefix: str, values: dict[str, str | bool]) -> dict[str, Any]:
    return {
        f"{prefix}-{name.replace('_', '-')}": value
        if isinstance(value, str)
        else str(value).lower()
        for name, value in values.items()
    }
