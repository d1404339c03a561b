"""The catalogue page has every gadget, each with a place to go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from dash import html

from igdash.sources.catalogue import load_catalogue
from igdash.ui import gadgets
from igdash.ui.gadgets import CATEGORY_TITLES

SERVICES = cast(Any, SimpleNamespace(gadgets=SimpleNamespace(all=load_catalogue().all)))


def _parts(class_name: str) -> list[dict[str, Any]]:
    found = []
    for part in gadgets.layout(SERVICES)._traverse():
        shown = getattr(part, "to_plotly_json", dict)()
        if class_name in shown.get("props", {}).get("className", "").split():
            found.append(shown["props"])
    return found


def test_one_card_per_gadget_that_leads_to_its_form() -> None:
    cards = _parts("card")
    assert {card["data-gadget"] for card in cards} == {g.name for g in load_catalogue().all()}
    assert all(card["href"] == f"/start/{card['data-gadget']}" for card in cards)


def test_chips_name_the_categories_that_exist() -> None:
    chips = _parts("toggle")
    present = {gadget.category for gadget in load_catalogue().all()}
    assert [chip["children"] for chip in chips] == [
        "All",
        *(title for category, title in CATEGORY_TITLES.items() if category in present),
    ]
    assert [chip["aria-pressed"] for chip in chips].count("true") == 1


def test_search_says_how_many_there_are() -> None:
    (slot,) = _parts("gadgets-input")
    assert f"Search {len(load_catalogue().all())} gadgets" in slot["data-placeholder"]
    assert isinstance(gadgets.layout(SERVICES), html.Div)
