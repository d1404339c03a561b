"""The inline script is the one the policy lets pass."""

from __future__ import annotations

import base64
import hashlib

from igdash.ui.theme import STORAGE_KEY, THEME_SCRIPT, csp_source


def test_policy_source_is_the_scripts_hash() -> None:
    digest = base64.b64encode(hashlib.sha256(THEME_SCRIPT.encode()).digest()).decode()
    assert csp_source(THEME_SCRIPT) == f"'sha256-{digest}'"


def test_script_can_stand_in_a_page() -> None:
    assert "</" not in THEME_SCRIPT
    assert STORAGE_KEY in THEME_SCRIPT
