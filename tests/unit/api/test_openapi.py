"""The document: complete references, every parameter, both kinds of answers."""

from __future__ import annotations

import json
import re
from typing import Any

from igdash.api.app import ROUTES, openapi


def test_every_reference_resolves() -> None:
    document: Any = openapi()
    names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert names
    assert names <= set(document["components"]["schemas"])


def test_operation_ids_are_unique_and_errors_are_problems() -> None:
    document: Any = openapi()
    ids = []
    for methods in document["paths"].values():
        for operation in methods.values():
            ids.append(operation["operationId"])
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]
    assert len(ids) == len(set(ids)) == len(ROUTES)


def test_parameters_come_from_the_types() -> None:
    document: Any = openapi()
    events = document["paths"]["/api/sessions/{id}/events"]["get"]["parameters"]
    found = {(p["in"], p["name"]): p for p in events}
    assert found["path", "id"]["required"] is True
    assert found["query", "limit"]["schema"]["maximum"] == 1_000
    assert found["query", "from"]["schema"]["anyOf"][0]["format"] == "date-time"
    assert ("query", "start") not in found


def test_a_route_knows_its_paths() -> None:
    route = next(r for r in ROUTES if r.path == "/api/sessions/{id}/events/{seq}")
    assert route.rule == "/api/sessions/<string:id>/events/<string:seq>"
    assert route.parameters == ("id", "seq")
    assert route.matches("/api/sessions/a/events/1")
    assert not route.matches("/api/sessions/a/events/1/2")
    assert not route.matches("/api/sessions/a/events/")
