"""The documentation lists every call there is."""

from __future__ import annotations

import re
from pathlib import Path

from igdash.api.app import ROUTES
from igdash.api.table import inserted, table

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"


def test_the_document_is_current() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert inserted(text) == text, "run: python -m igdash.api.table"


def test_every_close_code_we_send_is_documented() -> None:
    code = (DOCUMENT.parents[1] / "igdash" / "api" / "sockets.py").read_text(encoding="utf-8")
    code += (DOCUMENT.parents[1] / "igdash" / "api" / "channel.py").read_text(encoding="utf-8")
    sent = set(re.findall(r"\.close\((\d{4})", code))
    assert len(sent) >= 7
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(f"| {each} |" in text for each in sent)


def test_the_table_has_a_row_per_call() -> None:
    assert table().count("\n") == len(ROUTES) + 2
