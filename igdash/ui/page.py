"""The HTML document around the Dash app: what the browser has before the first script ran.

It paints the frame of the shell at once, in the right theme, and says what is missing when scripts
are off.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable

from igdash.domain.gadgets import Gadget
from igdash.ui.looks import catalogue_entries
from igdash.ui.theme import THEME_SCRIPT

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E%3Crect "
    "width='24' height='24' rx='6' fill='%23111827'/%3E%3Cpath d='M4 12h3.6l2-6 4.4 12 2.2-6H20' "
    "fill='none' stroke='%235b8cff' stroke-width='2' stroke-linecap='round' "
    "stroke-linejoin='round'/%3E%3C/svg%3E"
)

_BOOT = (
    '<div id="react-entry-point"><div class="boot" aria-hidden="true">'
    '<div class="boot-side"><i></i><i></i><i></i><i></i></div>'
    '<div class="boot-main"><i></i><i></i></div></div>'
    '<p class="sr-only" role="status">Loading igdash</p></div>'
)

_PAGE = """<!DOCTYPE html>
<html lang="en" data-bs-theme="dark">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<meta name="robots" content="noindex">
<title>{title}</title>
<script>{theme}</script>
<link rel="icon" href="{icon}">
{css}
</head>
<body>
<noscript><div class="noscript"><h1>igdash needs JavaScript</h1><p>Sessions go on collecting all the
same. Without scripts, use the command line (<code>igdash sessions</code>, <code>igdash events</code>)
or the REST interface under <code>/api</code>.</p></div></noscript>
{boot}
<script type="application/json" id="igdash-catalogue">{catalogue}</script>
<footer>
{config}
{scripts}
{renderer}
</footer>
</body>
</html>"""


def embedded_catalogue(gadgets: Iterable[Gadget]) -> str:
    """Return the catalogue as JSON that cannot close its own script element."""
    text = json.dumps(catalogue_entries(gadgets), separators=(",", ":"))
    return text.replace("<", "\\u003c")


def page(
    gadgets_json: str, *, title: str, css: str, config: str, scripts: str, renderer: str
) -> str:
    """Return the whole document; the parts are those Dash hands to `interpolate_index`."""
    return _PAGE.format(
        title=html.escape(title),
        theme=THEME_SCRIPT,
        icon=_ICON,
        css=css,
        boot=_BOOT,
        catalogue=gadgets_json,
        config=config,
        scripts=scripts,
        renderer=renderer,
    )
