"""The OpenAPI document, made from the route table and the very types that validate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from igdash import __version__
from igdash.api import types
from igdash.api.problems import Problem
from igdash.api.routes import Route

_REF = "#/components/schemas/{name}"
_PATH_TEXT = {
    "id": "A session's id, or any unique beginning of it.",
    "seq": "The event's number in its session, from 1.",
    "tick": "The tick's number in its session, from 1.",
    "name": "The gadget's name, e.g. trace_tcp, or an image reference.",
    "query": "The id that was given with the statement.",
    "environment": "The environment's name.",
    "schedule": "The scheduled export's id.",
    "run": "The run's id.",
    "file": "The file's name, as the run lists it.",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these routes."""
    bodies = [kind for r in routes for kind in (r.body, r.response) if kind is not None]
    kinds = list(dict.fromkeys([*bodies, Problem]))
    _, components = msgspec.json.schema_components(
        kinds, schema_hook=types.schema, ref_template=_REF
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "igdash",
            "version": __version__,
            "description": "Sessions of Inspektor Gadget, their events and their losses. Sockets "
            "(`/api/sessions/{id}/ws`, `/api/live`) are described in docs/api.md.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": _responses(route),
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    elif route.takes:
        content = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {route.takes: content}}
    return operation


def _ref(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_TEXT[name],
            "schema": {"type": "string"},
        }
        for name in route.parameters
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    _, components = msgspec.json.schema_components(
        [route.query], schema_hook=types.schema, ref_template=_REF
    )
    shape: Mapping[str, Any] = components[route.query.__name__]
    return [
        {"name": name, "in": "query", "required": name in shape["required"], "schema": schema}
        for name, schema in shape["properties"].items()
    ]


def _responses(route: Route) -> dict[str, Any]:
    content: dict[str, Any] = {
        media: {"schema": {"type": "object" if media == "application/json" else "string"}}
        for media in route.media
    }
    if route.response is not None:
        content = {"application/json": {"schema": _ref(route.response)}}
    found: dict[str, Any] = {str(route.status): {"description": "OK", "content": content}}
    wrong = {"application/problem+json": {"schema": _ref(Problem)}}
    for status in route.errors:
        found[str(status)] = {"description": "A problem document says why", "content": wrong}
    return found
