"""Asking environments of gadgets: behind, once, remembered, never for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from igdash.domain.control import Description
from igdash.domain.errors import SourceError
from igdash.services import descriptions
from igdash.services.descriptions import Descriptions
from tests.support.collecting import FakeCatalogue, FakeSource, wait_until

GADGET = FakeCatalogue.gadget


def asked() -> tuple[Descriptions, FakeSource]:
    source = FakeSource()
    return Descriptions({"fake": source}), source


def test_one_question_for_many_who_ask() -> None:
    known, source = asked()
    source.description = GADGET
    source.may_describe.clear()
    assert known.ask("fake", "trace_tcp", 0) == Description(
        reason="fake is still being asked", pending=True
    )
    source.may_describe.set()
    assert known.ask("fake", "trace_tcp", 5).gadget == GADGET
    assert known.ask("fake", "trace_tcp", 0).gadget == GADGET
    assert source.described == ["trace_tcp"]


def test_a_way_in_without_metadata_says_so_without_reason() -> None:
    known, _ = asked()
    assert known.ask("fake", "trace_tcp", 5) == Description()


@pytest.mark.parametrize(
    ("error", "reason"),
    [(SourceError("no gadget pod"), "no gadget pod"), (KeyError("x"), "could not be asked")],
)
def test_a_failure_has_its_reason_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    known, source = asked()
    source.description = error
    assert reason in known.ask("fake", "trace_tcp", 5).reason
    assert reason in known.ask("fake", "trace_tcp", 5).reason
    assert len(source.described) == 1
    monkeypatch.setattr(descriptions, "RETRY", 0.0)
    source.description = GADGET
    assert known.ask("fake", "trace_tcp", 5).gadget == GADGET


def test_an_old_answer_serves_until_the_new_one_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    known, source = asked()
    source.description = GADGET
    assert known.ask("fake", "trace_tcp", 5).gadget == GADGET
    monkeypatch.setattr(descriptions, "FRESH", 0.0)
    source.may_describe.clear()
    assert known.ask("fake", "trace_tcp", 0).gadget == GADGET
    newer = replace(GADGET, title="newer")
    source.description = newer
    monkeypatch.undo()
    source.may_describe.set()
    wait_until(lambda: known.ask("fake", "trace_tcp", 0).gadget == newer)


def test_a_failed_second_answer_does_not_take_the_first_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, source = asked()
    source.description = GADGET
    known.ask("fake", "trace_tcp", 5)
    monkeypatch.setattr(descriptions, "FRESH", 0.0)
    source.description = SourceError("away")
    known.ask("fake", "trace_tcp", 5)
    monkeypatch.undo()
    wait_until(lambda: len(source.described) == 2)
    assert known.ask("fake", "trace_tcp", 5).gadget == GADGET


def test_who_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    known, source = asked()
    source.may_describe.clear()
    known.ask("fake", "trace_tcp", 0)
    monkeypatch.setattr(descriptions, "DEADLINE", 0.0)
    found = known.ask("fake", "trace_tcp", 0)
    assert not found.pending
    assert "did not answer" in found.reason
    source.may_describe.set()


def test_not_too_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known, source = asked()
    monkeypatch.setattr(descriptions, "MOST_ASKING", 2)
    source.may_describe.clear()
    for name in "abc":
        assert known.ask("fake", name, 0).pending
    wait_until(lambda: len(source.described) == 2)
    source.may_describe.set()
    wait_until(lambda: not known.ask("fake", "c", 1).pending)


def test_not_too_many_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    known, source = asked()
    monkeypatch.setattr(descriptions, "MOST_KEPT", 2)
    for name in ("a", "b", "c", "a"):
        known.ask("fake", name, 5)
    assert source.described == ["a", "b", "c", "a"]
