"""Gadget images that people type: what is a reference, and which are allowed.

An image is a program that runs in other machines' kernels as root, so the default allows only what
Inspektor Gadget's own project publishes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from igdash.domain.environments import Environment

OFFICIAL: Final = "ghcr.io/inspektor-gadget/gadget/"
"""Where Inspektor Gadget's own gadgets are published."""
MAX_REFERENCE: Final = 400

_REFERENCE: Final = re.compile(
    r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?"  # registry
    r"(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+"  # repository
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"  # tag
    r"(?:@sha256:[0-9a-f]{64})?"
)
_BORDERS: Final = "/:@"


def is_reference(gadget: str) -> bool:
    """Whether this is meant as an image reference, not as a name of the catalogue."""
    return "/" in gadget


def short_name(reference: str) -> str:
    """Return the last part of a reference without tag and digest: `x` of `ghcr.io/a/x:1`."""
    return reference.partition("@")[0].rsplit("/", 1)[-1].partition(":")[0]


def image_of(environment: Environment, gadget: str) -> str:
    """Return the image of a gadget in an environment; a reference is its own."""
    if is_reference(gadget):
        return gadget
    return f"{environment.image_prefix}{gadget}:{environment.image_tag}"


def image_problem(gadget: str, allowed: Sequence[str]) -> str:
    """Return why this may not be run, "" for names of the catalogue and allowed references."""
    if not is_reference(gadget):
        return ""
    if len(gadget) > MAX_REFERENCE or not _REFERENCE.fullmatch(gadget):
        return f"{gadget[:80]!r} is no image reference such as {OFFICIAL}trace_tcp:latest"
    if any(_matches(gadget, pattern) for pattern in allowed):
        return ""
    prefixes = ", ".join(allowed) or "none"
    return f"{gadget[:80]} is not among the allowed images (gadgets.allowed_images): {prefixes}"


def _matches(reference: str, pattern: str) -> bool:
    """A pattern is a prefix up to a border (`/`, `:`, `@` or the end); `*` stands for any text
    without `/`, alone for every image."""
    if pattern == "*":
        return True
    text = "[^/]*".join(re.escape(part) for part in pattern.split("*"))
    found = re.match(text, reference)
    if not found or not pattern:
        return False
    rest = reference[found.end() :]
    return not rest or pattern[-1] in _BORDERS or rest[0] in _BORDERS
