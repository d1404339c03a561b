"""What is told again is recognised by content: a model with all events known decides."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from igdash.domain.instances import (
    REMEMBERED,
    RING,
    Received,
    digest,
    instance_problem,
    known_lines,
    own_id,
    own_name,
    tails,
)
from igdash.domain.sessions import SessionId, SessionSpec


def marks(text: str) -> list[bytes]:
    found = [digest(b"{" + letter.encode() + b"}") for letter in text]
    assert None not in found
    return [one for one in found if one is not None]


@pytest.mark.parametrize(
    ("have", "told", "known"),
    [
        ("abcd", "cdef", 2),
        ("abcd", "abcd", 4),
        ("abcd", "abcdefgh", 4),
        ("cd", "abcdef", 4),
        ("abcd", "efgh", None),
        ("abcd", "", None),
        ("", "abcd", None),
        ("", "", None),
        # equal rows: one b is known, the others are new
        ("aab", "bbb", 1),
        ("abb", "bbbb", 2),
        ("xaa", "aaaa", 2),
        ("aaaa", "aaaaaa", 4),
        # a hole in ours: c was lost on the way and counted then
        ("abdef", "abcdefg", 6),
        ("abd", "abcde", 4),
    ],
)
def test_what_is_known(have: str, told: str, known: int | None) -> None:
    assert known_lines(marks(have), marks(told)) == known


def test_a_line_that_proves_nothing() -> None:
    # Both end in a's, but nothing says that they are the same a's: rather twice than never.
    assert known_lines(marks("xxaya"), marks("baca")) is None


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 30))
@example(5, 5, 30)
def test_rows_that_differ_are_stored_once(received: int, more: int, ring: int) -> None:
    """As events with their time are: whatever was received, each is known or new, never both."""
    every = [digest(b'{"n":%d}' % n) or b"" for n in range(received + more)]
    have, told = every[:received], every[-ring:] if every else []
    known = known_lines(have, told)
    new = told[known or 0 :]
    assert new == [one for one in told if one not in have]
    assert (known is None) == (not set(have) & set(told))


@given(st.lists(st.sampled_from("ab"), max_size=40), st.integers(0, 40), st.integers(1, 40))
def test_equal_rows_are_known_only_where_ours_end(
    events: list[str], received: int, ring: int
) -> None:
    every = marks("".join(events))
    have, told = every[:received], every[-ring:]
    known = known_lines(have, told)
    if known is not None:
        assert 0 < known <= len(told)
        assert told[known - 1] == have[-1]


def test_lines_without_an_event_have_no_mark() -> None:
    assert digest(b"does not fit its schema: 00") is None
    assert digest(b"[]") == digest(b"[]") != digest(b'[{"n":1}]')


def test_tails_keep_the_last_lines_of_each_node() -> None:
    lines = [
        Received(node=f"n{n % 2}", line=b'{"n":%d}' % n, at=n) for n in range(2 * REMEMBERED + 10)
    ]
    found = tails(lines)
    assert set(found) == {"n0", "n1"}
    assert len(found["n0"].digests) == REMEMBERED
    assert found["n1"].digests[-1] == digest(lines[-1].line)
    assert found["n1"].at == lines[-1].at
    assert tails([]) == {}
    assert REMEMBERED >= 2 * RING


def test_the_id_is_what_inspektor_gadget_takes() -> None:
    session = SessionId("0123456789ab")
    assert len(own_id(session)) == 32
    assert set(own_id(session)) <= set("0123456789abcdef")
    assert own_id(session) == own_id(session) != own_id(SessionId("0123456789ac"))
    assert own_name(session) == "igdash-0123456789ab"
    assert len(own_name(session)) <= 32


@pytest.mark.parametrize(("text", "fine"), [("", True), ("0" * 32, True), ("0" * 31, False)])
def test_ids_of_others(text: str, fine: bool) -> None:
    spec = SessionSpec(gadget="trace_tcp", environment="e", instance=text)
    assert (instance_problem(spec) == "") is fine
