"""Dark or light, decided before the first pixel: a page that flashes white at night is broken.

The script is inline because only that runs before the first paint; the content security policy
lets it pass by its hash. The rest of the theme switch is `assets/20-shell.js`.
"""

from __future__ import annotations

import base64
import hashlib

STORAGE_KEY = "igdash-theme"

THEME_SCRIPT = (
    "(function(){var d=document.documentElement,m=null;"
    f'try{{m=localStorage.getItem("{STORAGE_KEY}")}}catch(e){{}}'
    'if(m!=="light"&&m!=="dark")'
    'm=matchMedia("(prefers-color-scheme: light)").matches?"light":"dark";'
    'd.setAttribute("data-bs-theme",m)})()'
)


def csp_source(script: str) -> str:
    """Return the policy source that lets exactly this inline script run."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
