"""One shape of an event everywhere: the spliced text is what the API's own type encodes to."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from igdash.api import shapes
from igdash.domain.events import Event
from igdash.domain.sessions import SessionId
from igdash.domain.times import format_ns
from igdash.services.render import event_lines, event_text, events_frame, time_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
EVENTS = st.builds(
    Event,
    seq=st.integers(1, 2**63 - 1),
    ts=st.integers(-(2**62), 2**63 - 1),
    node=TEXT,
    source=TEXT,
    data=st.sampled_from(["{}", '{"a":  1.50,"b":18446744073709551615}', '{"é":"\\u00e9"}']),
)


@given(EVENTS)
def test_rest_socket_and_export_agree(event: Event) -> None:
    rest = msgspec.json.encode(shapes.event(event)).decode()
    assert event_text(event) == rest
    assert event_lines([event]).decode() == rest + "\n"
    assert rest in events_frame([event], event.seq).decode()
    merged = msgspec.json.encode(shapes.session_event(SessionId("a1"), event)).decode()
    assert event_text(event, "a1") == merged


@given(st.integers(-(2**62), 2**63 - 1))
def test_times_are_those_of_the_domain(ns: int) -> None:
    assert time_text(ns) == format_ns(ns)


def test_a_frame_is_json() -> None:
    events = [Event(seq=n, ts=0, node='"', source="", data="{}") for n in (4, 5)]
    frame = json.loads(events_frame(events, 5))
    assert frame["last_seq"] == 5
    assert [event["seq"] for event in frame["events"]] == [4, 5]
