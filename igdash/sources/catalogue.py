"""The gadgets igdash knows without asking anyone, so that forms and columns exist before a first run.

The data file is made by `scripts/make_catalogue.py`; nothing here is written by hand.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from functools import cache
from importlib import resources

import msgspec

from igdash.domain.errors import GadgetNotFound
from igdash.domain.gadgets import Category, Delivery, Gadget
from igdash.domain.images import OFFICIAL, is_reference, short_name


class PackagedCatalogue:
    """The `Catalogue` of the package data file. Immutable, so safe in every thread."""

    def __init__(self, gadgets: tuple[Gadget, ...]) -> None:
        self._gadgets = gadgets
        self._by_name = {gadget.name: gadget for gadget in gadgets}

    def all(self) -> tuple[Gadget, ...]:
        """Return every gadget, by category, then name."""
        return self._gadgets

    def get(self, name: str) -> Gadget:
        """Return one. Raises `GadgetNotFound`, naming near names.

        An image reference has one, too: that of the catalogue where it is an image of the official
        ones, else one of which only its target parameters are known.
        """
        if is_reference(name):
            return self._of_image(name)
        gadget = self._by_name.get(name)
        if gadget is None:
            near = difflib.get_close_matches(name, self._by_name, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise GadgetNotFound(f"there is no gadget {name!r}{hint}")
        return gadget

    def _of_image(self, reference: str) -> Gadget:
        known = self._by_name.get(short_name(reference))
        if known is not None and reference.startswith(OFFICIAL + known.name):
            return replace(known, name=reference)
        usual = self._by_name["trace_exec"].params
        return Gadget(
            name=reference,
            title=short_name(reference).replace("_", " ").capitalize(),
            description="Not in the catalogue: known by its image only.",
            category=Category.TRACE,
            delivery=Delivery.STREAM,
            params=tuple(param for param in usual if param.target),
        )


@cache
def load_catalogue() -> PackagedCatalogue:
    """Return the catalogue, read once per process at the first call."""
    data = resources.files("igdash").joinpath("data/gadgets.json").read_bytes()
    return PackagedCatalogue(msgspec.json.decode(data, type=tuple[Gadget, ...]))
