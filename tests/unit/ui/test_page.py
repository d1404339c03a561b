"""The document: no script but ours, nothing from elsewhere, nothing that breaks out."""

from __future__ import annotations

import dataclasses
import json
import re

from igdash.sources.catalogue import load_catalogue
from igdash.ui.page import embedded_catalogue, page
from igdash.ui.theme import THEME_SCRIPT

GADGETS = load_catalogue().all()


def _page(catalogue: str = "[]", title: str = "igdash") -> str:
    return page(
        catalogue, title=title, css="<CSS>", config="<CONFIG>", scripts="<S>", renderer="<R>"
    )


def test_theme_is_set_before_any_style_or_body() -> None:
    text = _page()
    assert text.index(THEME_SCRIPT) < text.index("<CSS>") < text.index("<body>")
    assert '<meta name="color-scheme"' in text


def test_nothing_comes_from_elsewhere() -> None:
    text = _page(embedded_catalogue(GADGETS))
    assert re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", text) == []
    assert re.findall(r"\son\w+=", text) == []


def test_only_the_theme_script_is_inline() -> None:
    inline = re.findall(r"<script>(.*?)</script>", _page(), re.DOTALL)
    assert inline == [THEME_SCRIPT]


def test_says_what_is_missing_without_scripts() -> None:
    assert "needs JavaScript" in _page()


def test_catalogue_cannot_close_its_element() -> None:
    evil = dataclasses.replace(GADGETS[0], description="</script><script>alert(1)</script>")
    text = embedded_catalogue([evil])
    assert "<" not in text
    assert json.loads(text)[0]["description"] == evil.description


def test_title_is_escaped() -> None:
    assert "<title>a &amp; &lt;b&gt;</title>" in _page(title="a & <b>")
