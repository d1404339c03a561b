"""A report of a session: complete, alone in its file, and deaf to what its events try to say."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from igdash.bootstrap import catalogue
from igdash.domain.errors import InvalidQuery
from igdash.domain.filters import FilterError
from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId
from igdash.services import report as report_module
from igdash.services.report import Reports
from igdash.services.report_facts import Wanted
from tests.support.importing import ImportRig
from tests.support.web import Web, web

RECORDINGS = Path(__file__).resolve().parents[2] / "examples" / "recordings"
VOID = {"meta", "rect", "br", "link", "img", "input"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><style>*{display:none}",
    "</pre></details><h1>owned</h1>",
    "a\u202egnp.exe",
    "&lt;b&gt;",
    "' onmouseover='x",
    "{{7*7}}",
    "\x00\x1b[2J",
    "<!--",
    "]]>",
    "https://evil.example/x.png",
]


class Checker(HTMLParser):
    """Collects what a page is made of; its tags must be closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(tag, name) for name, _ in attrs}
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(tag, name) for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.stack or self.stack[-1] != "style":
            self.words.append(data)


def checked(page: str) -> Checker:
    found = Checker()
    found.feed(page)
    found.close()
    assert found.stack == []
    return found


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ImportRig]:
    rig = ImportRig(tmp_path / "rig")
    yield rig
    rig.close()


def report(rig: ImportRig, session: SessionId, **wanted: object) -> str:
    reports = Reports(
        sessions=rig.reader.sessions,
        events=rig.reader.events,
        records=rig.reader.records,
        queries=rig.exports.queries,
        catalogue=catalogue(),
    )
    return b"".join(reports.open(session, Wanted(**wanted))).decode()  # type: ignore[arg-type]


def test_a_report_says_what_ran_and_what_came(rig: ImportRig) -> None:
    session = rig.import_one(RECORDINGS / "trace_tcp" / "events.jsonl", name="Shop at noon")
    page = report(rig, session.id)
    found = checked(page)
    words = " ".join(found.words)
    for part in ("Shop at noon", "trace_tcp", session.id, "774", "Most frequent values"):
        assert part in words
    assert "production" in words
    assert {"dst.addr", "dst.port", "k8s.podName", "proc.comm", "type"} <= set(found.words)
    assert "None are known to be lost" in words
    assert "Newest 100 events" in words
    assert page.count("<details>") == 100
    assert page.count('class="bar"') == 120
    heights = [float(x) for x in re.findall(r'class="bar"[^>]* height="([\d.]+)"', page)]
    assert max(heights) == 150.0
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page


def test_a_report_needs_nothing_from_anywhere(rig: ImportRig) -> None:
    session = rig.import_one(RECORDINGS / "trace_sni" / "events.jsonl")
    page = report(rig, session.id)
    found = checked(page)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "base", "form", "a"}
    assert {name for _, name in found.attributes}.isdisjoint({"src", "href", "action", "srcset"})
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page


def test_hostile_values_stay_text(rig: ImportRig) -> None:
    lines = [
        {"comm": text, "fname": text, "k8s": {"namespace": text, "node": text, "podName": text},
         "proc": {"comm": text}, text: text}
        for text in HOSTILE
    ]  # fmt: skip
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    session = rig.import_one(data, name=HOSTILE[1], gadget="trace_open")
    page = report(rig, session.id)
    found = checked(page)
    assert not found.tags & {"script", "img", "a"}
    assert not any(name.startswith("on") for _, name in found.attributes)
    assert page.count("<style>") == 1
    assert page.count("<h1>") == 1
    words = "".join(found.words)
    assert "<script>alert(1)</script>" in words
    assert "\\u202e" in words
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert html.escape(HOSTILE[1]) in page


def test_chosen_events_filters_and_ranges(rig: ImportRig) -> None:
    session = rig.import_one(RECORDINGS / "trace_tcp" / "events.jsonl")
    page = report(rig, session.id, seqs=(3, 7, 7, 99_999))
    assert re.findall(r"<summary>([\d,]+)", page) == ["3", "7"]
    assert "Not in this session: 99999" in page
    page = report(rig, session.id, filter="namespace = staging")
    assert "Only events that match <code>namespace = staging</code>" in page
    assert "Newest 9 events" in page
    assert "<b>9</b><span>Of these shown here" in page
    first = rig.reader.events.get(session.id, 1).ts
    page = report(rig, session.id, start=first, end=first + 1)
    assert "Only from" in page
    with pytest.raises(InvalidQuery):
        report(rig, session.id, start=2, end=1)
    with pytest.raises(InvalidQuery, match="at most 500"):
        report(rig, session.id, seqs=tuple(range(1, 600)))
    with pytest.raises(FilterError):
        report(rig, session.id, filter="nonsense = 1")


def test_what_was_looked_for_in_a_part_only_says_so(
    rig: ImportRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("igdash.services.report.SECONDS", 1e-7)
    data = (RECORDINGS / "trace_tcp" / "events.jsonl").read_bytes() * 4
    session = rig.import_one(data, gadget="trace_tcp")
    page = report(rig, session.id, filter="dst.port > 1")
    [part] = re.findall(r"<b>≥ ([\d,]+)</b><span>Of these shown here", page)
    assert f" s, counted in {part} of {session.events:,} events." in page
    page = report(rig, session.id, filter="dst.port > 1 and proc.comm = zzz")
    assert "There are none" not in page
    assert f" of {session.events:,} events.</p></section>" in page


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Web]:
    with web(f"sqlite:///{tmp_path}/store.db") as made:
        yield made


def test_losses_warnings_and_an_empty_session(side: Web) -> None:
    empty = side.session("trace_tcp")
    page = b"".join(side.services.reports.open(SessionId(empty), Wanted())).decode()
    checked(page)
    assert "There are none." in page
    lossy = side.session("trace_tcp")
    losses = [
        Loss(node="n<1>", start=10**18, end=10**18 + 9, count=1_234, cause=LossCause.KERNEL),
        Loss(node="n<1>", start=2 * 10**18, end=2 * 10**18, count=6, cause=LossCause.KERNEL),
        Loss(node="", start=10**18, end=10**18, count=0, cause=LossCause.STREAM, exact=False),
    ]
    side.control.add(SessionId(lossy), ['{"a":1}'], losses=losses)
    page = b"".join(side.services.reports.open(SessionId(lossy), Wanted())).decode()
    checked(page)
    assert "n&lt;1&gt;" in page
    assert "≥ 1,240 events lost in all" in page
    assert ">1,240</td>" in page
    assert ">unknown</td>" in page


def test_a_count_is_not_called_exact_for_losses_that_were_not_looked_at(
    side: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "MOST_LOSSES", 2)
    lossy = SessionId(side.session("trace_tcp"))
    old = Loss(node="", start=10**18, end=10**18, count=0, cause=LossCause.STREAM, exact=False)
    new = [
        Loss(node="", start=at * 10**18, end=at * 10**18, count=3, cause=LossCause.KERNEL)
        for at in (2, 3)
    ]
    side.control.add(lossy, ['{"a":1}'], losses=new)
    page = b"".join(side.services.reports.open(lossy, Wanted())).decode()
    assert "<p>6 events lost in all.</p>" in page
    side.control.add(lossy, ['{"a":1}'], losses=[old])
    page = b"".join(side.services.reports.open(lossy, Wanted())).decode()
    assert "≥ 6 events lost in all; the table sums up the newest 2 records" in page


def test_the_report_is_a_format_of_exports(side: Web) -> None:
    session = side.session("trace_tcp")
    side.control.add(SessionId(session), ['{"a":1}', '{"a":2}'])
    client = side.app.test_client()

    def get(query: str) -> Any:
        return client.get(
            f"/api/sessions/{session}/export?{query}", base_url="http://127.0.0.1:8050"
        )

    answer = get("format=html&seq=2")
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment; filename=")
    assert disposition.endswith(f'{session}.html"')
    assert re.findall(r"<summary>(\d+)", answer.text) == ["2"]
    for query in ("format=html&plain=true", "format=csv&seq=1", "format=pdf", "format=html&seq=x"):
        assert get(query).status_code == 400
