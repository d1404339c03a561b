"""The addresses of the dashboard, as the server sees them; `assets/11-router.js` is their twin.

The server only needs to tell an address of ours from a mistyped one.
"""

from __future__ import annotations

import re

_VIEW = re.compile(
    r"/?|/gadgets/?|/environments/?|/sql/?|/exports/?|/start/[^/]+(/[^/]+)*/?|/sessions/?|/sessions/[^/]+/?"
)


def is_view(path: str) -> bool:
    """Tell whether `path` (without query) names a view of the dashboard."""
    return _VIEW.fullmatch(path) is not None
