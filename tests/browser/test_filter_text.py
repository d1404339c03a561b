"""Filters as texts on the page: cut at `and`, joined again, made from values; read back by the server's
own parser."""

from __future__ import annotations

import json
from typing import Any

import pytest

from igdash.domain.filter_text import parse, to_text
from igdash.domain.filters import Compare
from tests.support.browser import Page

WORDS = "igdash.session.words."


@pytest.fixture
def words(page: Page) -> Page:
    page.open("/gadgets")
    return page


def call(page: Page, name: str, *args: Any) -> Any:
    given = ", ".join(f"arguments[{i}]" for i in range(len(args)))
    return page.js(f"{WORDS}{name}({given})", *args)


def test_a_filter_is_cut_at_its_top_level_and_only(words: Page) -> None:
    cases = {
        "": [],
        "pod = web-1": ["pod = web-1"],
        "a = 1 and b = 2 AND c": ["a = 1", "b = 2", "c"],
        "a = 1 or b = 2 and c": ["a = 1 or b = 2 and c"],
        "(a = 1 or b = 2) and c": ["(a = 1 or b = 2)", "c"],
        'name = "x and y" and b': ['name = "x and y"', "b"],
        "a in (1, 2) and not (b and c)": ["a in (1, 2)", "not (b and c)"],
        "a ? b and c": ["a ? b and c"],
    }
    for text, parts in cases.items():
        assert call(words, "parts", text) == parts, text


def test_what_is_joined_means_the_same(words: Page) -> None:
    for text in ("a = 1 and b = 2", "a = 1 or b = 2", "(a = 1 or b = 2) and not c = 3"):
        joined = call(words, "join", [*call(words, "parts", text), "z < 9"])
        assert to_text(parse(joined)) == to_text(parse(f"({text}) and z < 9"))


def test_every_value_is_read_back_as_it_was(words: Page) -> None:
    hard = [
        "web-1",
        "10.0.0.1",
        "and",
        "TRUE",
        "",
        'a "b" \\ c',
        "ünï",
        "5ms",
        "0x10",
        "a..b",
        "/x*",
    ]
    for value in hard:
        read = parse(call(words, "is", "pod", value))
        assert isinstance(read, Compare)
        assert read.value.value == value, value
    big = json.dumps({"v": 18446744073709551615})
    text = words.js(f"{WORDS}is('x', igdash.parseExact(arguments[0]).v)", big)
    assert text == "x = 18446744073709551615"


def test_the_same_condition_is_known_whatever_its_quotes(words: Page) -> None:
    assert call(words, "normal", 'pod="web-1"') == call(words, "normal", "pod = web-1")
    assert call(words, "normal", 'pod = "5"') != call(words, "normal", "pod = 5")


def test_short_names_only_where_they_mean_the_same(words: Page) -> None:
    assert call(words, "short", "k8s.podName") == "pod"
    assert words.js(f"{WORDS}short('proc.pid', new Set(['pid', 'proc.pid']))") == "proc.pid"


def test_an_endpoint_is_its_object_or_its_address(words: Page) -> None:
    raw = {"addr": "10.0.0.1", "port": 53, "k8s": {"kind": "raw"}}
    svc = {"addr": "10.0.0.1", "port": 53, "k8s": {"kind": "svc", "name": "dns", "namespace": "x"}}
    assert call(words, "endpoint", "dst", raw) == ['dst.addr = "10.0.0.1"', "dst.port = 53"]
    assert call(words, "endpoint", "dst", svc) == [
        "dst.k8s.namespace = x",
        "dst.k8s.name = dns",
        "dst.port = 53",
    ]
