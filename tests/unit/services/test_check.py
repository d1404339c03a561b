"""`igdash check`: what comes of each gadget, in a word and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.environments import EnvironmentKind, Health
from igdash.domain.errors import SourceError
from igdash.domain.gadgets import Gadget
from igdash.domain.ports import Sink, Stream
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.services import check as module
from igdash.services.check import Checked, Verdict, check, offered
from igdash.sources.decode import decode_chunk
from tests.support.collecting import FakeCatalogue, FakeSource, FakeStream, lines

GADGET = FakeCatalogue.gadget


class Scripted(FakeSource):
    """A source whose gadgets do what `play` does with the sink."""

    def __init__(self, play: Callable[[Sink], object], description: Any = None) -> None:
        super().__init__()
        self.play = play
        self.description = description
        self.starts_by_itself = False
        self.specs: list[SessionSpec] = []

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:
        self.specs.append(spec)
        stream = super().open(session, spec, sink)
        assert isinstance(stream, FakeStream)
        if self.play(sink) == "ended":
            stream._over.set()
        return stream


def run(source: Scripted, gadget: Gadget = GADGET) -> Checked:
    [row] = check(source, [gadget], decode_chunk, seconds=0.01)
    return row


def running(*chunks: Chunk) -> Callable[[Sink], None]:
    def play(sink: Sink) -> None:
        sink.nodes(expected=2, connected=2)
        sink.started()
        for chunk in chunks:
            sink.chunk(chunk)

    return play


def bytes_of(data: bytes, kind: ChunkKind = ChunkKind.JSON_LINES, **more: Any) -> Chunk:
    return Chunk(kind=kind, received=1, data=data, **more)


def test_a_gadget_that_works() -> None:
    source = Scripted(running(lines(1, 2, 3)), description=GADGET)
    row = run(source)
    assert (row.verdict, row.events, row.nodes, row.why) == (Verdict.FINE, 3, 2, "")
    assert row.params == len(GADGET.params)
    assert all(stream.stops == 1 for stream in source.streams.values())


def test_nothing_happened() -> None:
    assert run(Scripted(running())).verdict is Verdict.QUIET
    assert run(Scripted(running(bytes_of(b"[]\n")))).verdict is Verdict.FINE


def test_what_cannot_be_read_is_odd() -> None:
    row = run(Scripted(running(lines(1), bytes_of(b"junk\n"))))
    assert (row.verdict, row.malformed, row.why) == (Verdict.ODD, 1, "not JSON")


def test_rows_of_a_source_nobody_announced_are_odd() -> None:
    told = bytes_of(b'[{"name":"tcp"}]\n', ChunkKind.SCHEMA)
    row = run(Scripted(running(told, bytes_of(b'{"a":1}\n', source="udp"))))
    assert (row.verdict, row.why) == (Verdict.ODD, "data sources nobody announced: udp")


def test_what_did_not_run_has_failed() -> None:
    def fail(sink: Sink) -> str:
        sink.ended(failed=True, reason="no BTF")
        return "ended"

    failing = Scripted(fail)
    assert (run(failing).verdict, run(failing).why) == (Verdict.FAILED, "no BTF")
    refused = Scripted(running())
    refused.broken = "no such binary"
    assert (run(refused).verdict, run(refused).why) == (Verdict.FAILED, "no such binary")
    unknown = Scripted(running(), description=SourceError("not found"))
    assert (run(unknown).verdict, run(unknown).why) == (Verdict.FAILED, "not found")


def test_what_never_starts_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.01)
    row = run(Scripted(lambda sink: sink.nodes(expected=1, connected=0)))
    assert row.verdict is Verdict.FAILED
    assert "did not start" in row.why


def test_the_target_leaves_inspektor_gadget_out_on_a_cluster() -> None:
    source = Scripted(running())
    source.environment = replace(source.environment, kind=EnvironmentKind.KUBECTL_GADGET)
    run(source)
    run(source, replace(GADGET, params=()))
    assert [spec.target.namespace for spec in source.specs] == ["!gadget", ""]


def test_which_gadgets_are_tried() -> None:
    source = Scripted(running())
    assert offered(source, FakeCatalogue()) == (GADGET,)
    source.health = Health.DOWN
    with pytest.raises(SourceError, match="fake: "):
        offered(source, FakeCatalogue())
