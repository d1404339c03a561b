"""A gadget as its environment describes it, for pages and forms: whose word it is, and why.

The collector asks the environments; here its answer is put beside the catalogue's, and remembered
for a moment, since a form checks at every key and must not wait for a collector that hangs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from igdash.domain.commands import schema_for
from igdash.domain.control import Description
from igdash.domain.environments import Environment
from igdash.domain.errors import CollectorUnavailable, EnvironmentNotFound, InvalidSpec
from igdash.domain.gadgets import Gadget
from igdash.domain.images import image_problem
from igdash.domain.ports import Catalogue, Control
from igdash.services.admission import merged, no_environment

FRESH: Final = 20.0
"""Seconds an answer of an environment is used again without asking the collector."""
AGAIN: Final = 2.0
"""The same for no answer."""
MOST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A gadget for an environment. `own`: described by the environment itself; else `reason` says
    why it is the catalogue's ("" = the environment has no metadata), `pending` that it may come.
    """

    gadget: Gadget
    own: bool = False
    reason: str = ""
    pending: bool = False


class Metadata:
    """Knows gadgets by environment. Thread-safe."""

    def __init__(
        self,
        catalogue: Catalogue,
        control: Control,
        configured: Sequence[Environment],
        allowed_images: Sequence[str],
    ) -> None:
        self._catalogue = catalogue
        self._control = control
        self._configured = {one.name: one for one in configured}
        self._allowed = allowed_images
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], tuple[float, Description]] = {}

    def get(self, name: str, environment: str = "", wait: float = 0.0) -> Described:
        """Return a gadget, asking its environment for at most about `wait` s.

        Raises `GadgetNotFound`, `EnvironmentNotFound`, `InvalidSpec` for an image that is not
        allowed. Without environment it is the catalogue's.
        """
        known = self._catalogue.get(name)
        if why := image_problem(name, self._allowed):
            raise InvalidSpec({"gadget": why})
        if not environment:
            return Described(gadget=known)
        where = self._configured.get(environment)
        if where is None:
            raise EnvironmentNotFound(no_environment(environment, self._configured))
        found = self._recent(environment, name, wait)
        if found.gadget is not None:
            return Described(gadget=merged(known, found.gadget), own=True)
        shown = replace(known, sources=schema_for(known, where))
        return Described(gadget=shown, reason=found.reason, pending=found.pending)

    def _recent(self, environment: str, name: str, wait: float) -> Description:
        with self._lock:
            at, last = self._last.get((environment, name), (0.0, None))
        settled = last is not None and (last.gadget is not None or not last.reason)
        good_for = FRESH if settled else AGAIN
        if last is not None and time.monotonic() - at < good_for and (settled or not wait):
            return last
        try:
            found = self._control.describe(environment, name, wait)
        except CollectorUnavailable as error:
            found = Description(reason=str(error))
        with self._lock:
            self._last.pop((environment, name), None)
            self._last[environment, name] = (time.monotonic(), found)
            while len(self._last) > MOST:
                self._last.pop(next(iter(self._last)))
        return found
