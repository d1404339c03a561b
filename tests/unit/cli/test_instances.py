"""Headless sessions on the command line: what is asked of the collector."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from igdash.cli import catalogue, change
from igdash.cli.main import run
from igdash.domain.images import OFFICIAL
from igdash.domain.instances import Instance
from igdash.domain.sessions import Session, SessionId, SessionSpec, SessionState

FOUND = (
    Instance(
        id="ab" * 16,
        name="watch-tcp",
        image=f"{OFFICIAL}trace_tcp:latest",
        state="running",
        nodes=("host",),
    ),
    Instance(id="ac" * 16, name="own", image="example.org/own:1", state="failed", reason="no BTF"),
)


class FakeControl:
    def __init__(self) -> None:
        self.specs: list[SessionSpec] = []

    def instances(self, environment: str) -> Sequence[Instance]:
        assert environment == "host"
        return FOUND

    def start(self, spec: SessionSpec) -> Session:
        self.specs.append(spec)
        id_ = SessionId("0123456789ab")
        return Session(id=id_, spec=spec, state=SessionState.STARTING, created=1)


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> FakeControl:
    made = FakeControl()
    monkeypatch.setattr(change, "control_client", lambda _: made)
    monkeypatch.setattr(catalogue, "control_client", lambda _: made)
    return made


def test_start_headless(control: FakeControl, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["start", "trace_tcp", "-e", "host", "--headless"]) == 0
    assert control.specs == [SessionSpec(gadget="trace_tcp", environment="host", headless=True)]
    assert capsys.readouterr().out == "0123456789ab\n"


@pytest.mark.parametrize("text", ["watch-tcp", "aba", "ab" * 16])
def test_attach(control: FakeControl, text: str) -> None:
    assert run(["start", "-e", "host", "--attach", text]) == 0
    wanted = SessionSpec(gadget="trace_tcp", environment="host", instance="ab" * 16)
    assert control.specs == [wanted]


@pytest.mark.parametrize(
    ("argv", "code", "why"),
    [
        (["--attach", "a"], 1, "several instances begin"),
        (["--attach", "nope"], 1, "no instance has this name"),
        ([], 2, "name a gadget"),
    ],
)
def test_what_is_not_clear(
    control: FakeControl, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, why: str
) -> None:
    assert run(["start", "-e", "host", *argv]) == code
    assert why in capsys.readouterr().err
    assert control.specs == []


def test_the_list(control: FakeControl, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["instances", "host"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["ID", "NAME", "GADGET", "STATE", "NODES", "REASON"]
    assert rows[0].split()[1:] == ["watch-tcp", "trace_tcp", "running", "host", "-"]
    assert run(["instances", "host", "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["instances"]) == 2
