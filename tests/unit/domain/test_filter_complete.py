"""Completion: what belongs at the cursor, and which part of the text it replaces."""

from __future__ import annotations

import pytest

from igdash.domain.filter_complete import complete, value_text
from igdash.domain.gadgets import Field

SCHEMA = (
    Field(name="k8s.namespace", kind="String", description="Namespace of the pod"),
    Field(name="k8s.hostnetwork", kind="Bool"),
    Field(name="proc.comm", kind="String"),
    Field(name="proc.pid", kind="Uint32"),
    Field(name="dst.port", kind="Uint16"),
    Field(name="type", kind="String", one_of=("connect", "close")),
)


def inserts(text: str, cursor: int | None = None) -> list[str]:
    found = complete(text, len(text) if cursor is None else cursor, SCHEMA)
    return [item.insert.strip() for item in found.items]


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("", ["namespace", "comm", "dst.port", "not", "exists"]),
        ("na", ["namespace", "k8s.namespace"]),
        ("dst.po", ["dst.port"]),
        ("port", ["dst.port"]),
        ("dst.port ", ["=", "<", "in", "not in"]),
        ("comm ", ["=", "~", "like", "=~", "not in"]),
        ("k8s.hostnetwork ", ["=", "!="]),
        ("k8s.hostnetwork = ", ["true", "false"]),
        ("comm n", ["not in"]),
        ("comm not ", ["in", "like"]),
        ("type = ", ['"connect"', '"close"']),
        ('type = "cl', ['"close"']),
        ("type in (close, co", ['"connect"']),
        ("comm = x ", ["and", "or"]),
        ("comm in (a, b) a", ["and"]),
        ("not ex", ["exists"]),
        ("(comm = x or na", ["namespace"]),
        ("lost ", ["and", "or"]),
        ("nowhere ", ["and", "or"]),
    ],
)
def test_what_may_stand_there(text: str, some: list[str]) -> None:
    found = inserts(text)
    assert [one for one in some if one not in found] == []


def test_what_may_not_stand_there() -> None:
    assert "<" not in inserts("comm ")
    assert "~" not in inserts("dst.port ")
    assert "~" not in inserts("k8s.hostnetwork ")
    assert inserts("comm x") == []


@pytest.mark.parametrize(
    ("text", "cursor", "replaced", "path", "prefix"),
    [
        ("dst.po = 3", 4, "dst.po", "", ""),
        ('comm = "cu"', 10, '"cu"', "proc.comm", "cu"),
        ("comm = cu and pid = 3", 9, "cu", "proc.comm", "cu"),
        ("comm in (a, b", 13, "b", "proc.comm", "b"),
        ("comm = ", 7, "", "proc.comm", ""),
        ("time > 2", 8, "2", "", "2"),
    ],
)
def test_its_place_and_the_values_wanted(
    text: str, cursor: int, replaced: str, path: str, prefix: str
) -> None:
    found = complete(text, cursor, SCHEMA)
    assert text[found.start : found.end] == replaced
    assert (found.path, found.prefix) == (path, prefix)


def test_details_say_more() -> None:
    (item, *_) = complete("namesp", 6, SCHEMA).items
    assert item.detail == "a text · Namespace of the pod"


def test_stored_values_as_they_are_written() -> None:
    shown = [value_text(value) for value in (True, 'a"b', 5, 1e300, 0.5)]
    assert shown == ["true", '"a\\"b"', "5", "1e300", "0.5"]
