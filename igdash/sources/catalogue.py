"""The gadgets igdash knows without asking anyone, so that forms and columns exist before a first run.

The data file is made by `scripts/make_catalogue.py`; nothing here is written by hand.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources

import msgspec

from igdash.domain.errors import GadgetNotFound
from igdash.domain.gadgets import Gadget


class PackagedCatalogue:
    """The `Catalogue` of the package data file. Immutable, so safe in every thread."""

    def __init__(self, gadgets: tuple[Gadget, ...]) -> None:
        self._gadgets = gadgets
        self._by_name = {gadget.name: gadget for gadget in gadgets}

    def all(self) -> tuple[Gadget, ...]:
        """Return every gadget, by category, then name."""
        return self._gadgets

    def get(self, name: str) -> Gadget:
        """Return one. Raises `GadgetNotFound`, naming near names."""
        gadget = self._by_name.get(name)
        if gadget is None:
            near = difflib.get_close_matches(name, self._by_name, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise GadgetNotFound(f"there is no gadget {name!r}{hint}")
        return gadget


@cache
def load_catalogue() -> PackagedCatalogue:
    """Return the catalogue, read once per process at the first call."""
    data = resources.files("igdash").joinpath("data/gadgets.json").read_bytes()
    return PackagedCatalogue(msgspec.json.decode(data, type=tuple[Gadget, ...]))
