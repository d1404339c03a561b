"""Every example of docs/filters.md, against both databases and the plain meaning."""

from __future__ import annotations

import json
import re
from pathlib import Path

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import NewEvent
from igdash.domain.filter_match import matcher
from igdash.domain.filter_text import MAX_DEPTH, MAX_TEXT, parse, to_text
from igdash.domain.gadgets import Field
from igdash.domain.queries import UNLIMITED, EventQuery, EventRange, Where
from igdash.domain.times import parse_time
from igdash.sources.decode import decode_chunk
from igdash.store.query.patterns import compile_pattern, pattern_problem
from tests.support.stores import Store

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text()
SCHEMA = tuple(
    Field(name=name, kind=kind, template=template)
    for name, kind, template in (
        ("k8s.namespace", "String", ""),
        ("k8s.podName", "String", ""),
        ("k8s.containerName", "String", ""),
        ("runtime.containerName", "String", ""),
        ("proc.comm", "String", ""),
        ("proc.pid", "Uint32", ""),
        ("dst.addr", "String", ""),
        ("dst.port", "Uint16", ""),
        ("latency_ns", "String", "duration"),
        ("latency_ns_raw", "Uint64", ""),
        ("mem", "String", "bytes"),
        ("mem_raw", "Uint64", ""),
        ("fname", "String", ""),
        ("ok", "Bool", ""),
        ("error", "String", ""),
        ("netns", "Uint64", ""),
        ("args", "String", ""),
        ("answers.ttl", "Uint32", ""),
    )
)


def sample() -> list[NewEvent]:
    text = PAGE[PAGE.index("## Sample") :]
    found = []
    for line in re.findall(r"^\{.*\}$", text, re.MULTILINE):
        row = json.loads(line)
        data = line[line.index('"data":') + 7 : -1]
        chunk = Chunk(kind=ChunkKind.JSON_LINES, received=0, data=data.encode(), node=row["node"])
        (one,) = decode_chunk(chunk).events
        found.append(NewEvent(parse_time(row["ts"]), one.origin, one.data, one.size))
    return found


def examples() -> list[tuple[str, list[int]]]:
    """Return filter and matching rows of every table row that ends in a list of rows."""
    found = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) > 1 and cells[0].startswith("`") and re.fullmatch(r"[\d ]*", cells[-1]):
            text = cells[0][1:].partition("`")[0].replace("\\|", "|")
            found.append((text, [int(seq) for seq in cells[-1].split()]))
    return found


def test_every_example_gives_the_rows_the_page_names(store: Store) -> None:
    session = store.create().id
    store.add(session, *sample())
    events = store.reader.events.page(session, EventRange()).events
    assert len(events) == 6
    shown = examples()
    assert len(shown) > 40
    for text, expected in shown:
        node = parse(text, SCHEMA, pattern_problem)
        query = EventQuery(where=Where(filter=node))
        page = store.reader.queries.page(session, query, UNLIMITED)
        assert [one.seq for one in page.events] == expected, text
        means = matcher(node, compile_pattern)
        assert [one.seq for one in events if means(one)] == expected, text
        assert parse(to_text(node), SCHEMA) == node, text


def test_the_first_example_and_the_limits_are_as_said() -> None:
    parse(PAGE.split("```")[1].strip(), SCHEMA)
    assert f"{MAX_TEXT:,} characters" in PAGE
    assert f"parentheses {MAX_DEPTH} deep" in PAGE
    assert pattern_problem("a" * 1_000) == ""
    assert pattern_problem("a" * 1_001)
