"""A route: everything there is to know about one call, in one value.

The Flask rules, the validation, the OpenAPI document and the tests that walk every path are all
made from the same table, hence none of them can forget a call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from flask import Response

from igdash.services.web import WebServices


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One validated request: path parameters, and the structs the route asked for."""

    path: Mapping[str, str]
    query: Any = None
    body: Any = None


Handler = Callable[[WebServices, Call], msgspec.Struct | Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call. `path` as OpenAPI writes it (`/api/sessions/{id}`); `media` what it answers."""

    method: str
    path: str
    summary: str
    handler: Handler
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    response: type[msgspec.Struct] | None = None
    status: int = 200
    media: tuple[str, ...] = ("application/json",)
    errors: tuple[int, ...] = field(default=(400, 404, 503))
    takes: str = ""
    """What its body is when it is a file and no JSON: streamed, bounded by `max_upload`."""
    slashes: bool = False
    """Whether a path parameter may hold slashes (image references)."""

    @property
    def rule(self) -> str:
        """The path as Flask writes it."""
        kind = "path" if self.slashes else "string"
        return re.sub(r"\{(\w+)\}", rf"<{kind}:\1>", self.path)

    @property
    def name(self) -> str:
        """A unique name, also the OpenAPI operation id: `get_sessions_id_events`."""
        words = re.findall(r"\w+", self.path.removeprefix("/api"))
        return "_".join([self.method.lower(), *words])

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the path parameters."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    def matches(self, path: str) -> bool:
        """Whether a request's path is one of this route."""
        part = ".+" if self.slashes else "[^/]+"
        pattern = re.sub(
            r"\{\w+\}", part, re.escape(self.path).replace(r"\{", "{").replace(r"\}", "}")
        )
        return re.fullmatch(pattern, path) is not None
