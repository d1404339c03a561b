"""Every gadget of the catalogue is told from the others at a glance."""

from __future__ import annotations

import dataclasses
import re

from igdash.domain.gadgets import Category
from igdash.sources.catalogue import load_catalogue
from igdash.ui.looks import by_use, catalogue_entries, look

ALL = load_catalogue().all()


def test_letters_differ_within_a_colour() -> None:
    seen = [(look(gadget).letters, look(gadget).color) for gadget in ALL]
    assert len(set(seen)) == len(ALL)


def test_every_look_is_two_letters_and_a_token() -> None:
    for gadget in ALL:
        its = look(gadget)
        assert re.fullmatch(r"[A-Z]{2}", its.letters), gadget.name
        assert re.fullmatch(r"--c[1-8]", its.color), gadget.name


def test_a_gadget_nobody_listed_gets_a_look() -> None:
    for name, category, letters in [
        ("trace_new", Category.TRACE, "NE"),
        ("top_new", Category.TOP, "TN"),
        ("new", Category.ADVISE, "NE"),
        ("trace_two_words", Category.TRACE, "TW"),
    ]:
        gadget = dataclasses.replace(ALL[0], name=name, category=category)
        assert look(gadget).letters == letters


def test_most_used_come_first_and_none_is_left_out() -> None:
    ordered = by_use(ALL)
    assert [gadget.name for gadget in ordered[:3]] == ["trace_tcp", "trace_dns", "trace_sni"]
    assert {gadget.name for gadget in ordered} == {gadget.name for gadget in ALL}


def test_entries_carry_no_fields_and_no_parameters() -> None:
    entries = catalogue_entries(ALL)
    assert len(entries) == len(ALL)
    assert set(entries[0]) == {
        *("name", "title", "description", "category", "delivery", "letters", "color"),
    }
